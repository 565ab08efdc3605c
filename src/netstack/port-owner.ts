/** Who else gives out ports of an interface's address, as its translator does. */
export interface PortOwner {
  /** Takes a port for this host. @returns false: it is in use */
  reserve(protocol: number, port: number): boolean;
  /** Takes a port that nothing else will do for: who has it loses it. @returns false: it was given away for good */
  claim(protocol: number, port: number): boolean;
  /** Gives it back. */
  release(protocol: number, port: number): void;
}

/** Takes a port from all of them, or from none. @param isFixed no other port will do @returns whether it was taken */
export function takePort(owners: readonly PortOwner[], protocol: number, port: number, isFixed: boolean): boolean {
  const refused = owners.findIndex((owner) => !(isFixed ? owner.claim(protocol, port) : owner.reserve(protocol, port)));
  for (let i = 0; i < refused; i++) owners[i]!.release(protocol, port);
  return refused < 0;
}
