/** For tests: a DataView that throws when anything outside [from, to) is read or written. */
export class GuardedView extends DataView<ArrayBuffer> {
  readonly #from: number;
  readonly #to: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, from: number, to: number) {
    super(bytes.buffer);
    this.#from = from;
    this.#to = to;
  }

  #guard(at: number, len: number): void {
    if (at < this.#from || at + len > this.#to)
      throw new RangeError(`[${at}, ${at + len}) is outside [${this.#from}, ${this.#to})`);
  }

  override getUint8(at: number): number {
    this.#guard(at, 1);
    return super.getUint8(at);
  }

  override getUint16(at: number, little?: boolean): number {
    this.#guard(at, 2);
    return super.getUint16(at, little);
  }

  override getInt32(at: number, little?: boolean): number {
    this.#guard(at, 4);
    return super.getInt32(at, little);
  }

  override getUint32(at: number, little?: boolean): number {
    this.#guard(at, 4);
    return super.getUint32(at, little);
  }

  override setUint8(at: number, value: number): void {
    this.#guard(at, 1);
    super.setUint8(at, value);
  }

  override setUint16(at: number, value: number, little?: boolean): void {
    this.#guard(at, 2);
    super.setUint16(at, value, little);
  }

  override setInt32(at: number, value: number, little?: boolean): void {
    this.#guard(at, 4);
    super.setInt32(at, value, little);
  }
}
