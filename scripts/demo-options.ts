/** How a demonstration is run: what `npm run demo` was told. */
export interface DemoOptions {
  /** Processes instead of VMs. */
  readonly native: boolean;
  /** It stays until Ctrl-C. */
  readonly keep: boolean;
}
