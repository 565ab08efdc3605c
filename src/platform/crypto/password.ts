/**
 * Whether a password is right, found out by threads of the runtime beside the loop, which is told in a turn of its own: argon2id takes a
 * tenth of a second and 19 MiB. A user that there is not costs the same time as a wrong password.
 */
import { hashPassword } from "./password-hash.ts";

/** Our choices: at once, so that memory is bounded, and waiting. */
const AT_ONCE = 2;
const MAX_WAITING = 256;

interface Question {
  readonly hash: string | undefined;
  readonly password: string;
  readonly done: (now: number, isRight: boolean) => void;
}

export interface PasswordTools {
  readonly verify: (password: string, hash: string) => Promise<boolean>;
  readonly hash: (password: string) => Promise<string>;
}

const TOOLS: PasswordTools = {
  verify: (password, hash) => Bun.password.verify(password, hash),
  hash: hashPassword,
};

export class Passwords {
  /** Questions that found no room. */
  overflow = 0;
  readonly #tools: PasswordTools;
  /** Of no user: what an unknown one is compared with. */
  #nobody: Promise<string> | undefined;
  #waiting: Question[] = [];
  readonly #answered: { readonly question: Question; readonly isRight: boolean }[] = [];
  #running = 0;

  constructor(tools: PasswordTools = TOOLS) {
    this.#tools = tools;
  }

  /**
   * @param hash a PHC string; undefined: there is no such user, and the answer is no, in the same time
   * @param done called in {@link poll}, once
   * @returns takes the question back, unless it is being looked into; undefined: too many wait
   */
  verify(
    hash: string | undefined,
    password: string,
    done: (now: number, isRight: boolean) => void,
  ): (() => void) | undefined {
    if (this.#waiting.length >= MAX_WAITING) {
      this.overflow++;
      return undefined;
    }
    const question: Question = { hash, password, done };
    this.#waiting.push(question);
    this.#begin();
    return () => {
      this.#waiting = this.#waiting.filter((each) => each !== question);
    };
  }

  /** Says what was found out. */
  poll(now: number): void {
    for (const { question, isRight } of this.#answered.splice(0)) question.done(now, isRight);
  }

  /** The runtime ends the loop's sleep when an answer is there. */
  pollAt(): number {
    return this.#answered.length > 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  #begin(): void {
    while (this.#running < AT_ONCE) {
      const question = this.#waiting.shift();
      if (question === undefined) return;
      this.#running++;
      void this.#find(question);
    }
  }

  async #find(question: Question): Promise<void> {
    const { hash, password } = question;
    let isRight = false;
    try {
      const found = await this.#tools.verify(password, hash ?? (await this.#nobodys()));
      isRight = found && hash !== undefined;
    } catch {
      // A hash that cannot be one is nobody's password, and where none can be made for nobody the answer is the same.
    }
    this.#running--;
    this.#answered.push({ question, isRight });
    this.#begin();
  }

  /** Made when it is needed: a hash costs what a login does. */
  #nobodys(): Promise<string> {
    this.#nobody ??= this.#tools.hash(crypto.randomUUID()).catch((error: unknown) => {
      // The next one may find memory for it.
      this.#nobody = undefined;
      throw error;
    });
    return this.#nobody;
  }
}
