/** Who else gives out ports of an interface's address, as its translator does. */
export interface PortOwner {
  /** Takes a port for this host. @returns false: it is in use */
  reserve(protocol: number, port: number): boolean;
  /** Gives it back. */
  release(protocol: number, port: number): void;
}
