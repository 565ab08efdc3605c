/** How the password of a line of users.txt is hashed. */

/**
 * Argon2id with 19 MiB, twice over, in one lane: the least that OWASP asks for (Password Storage Cheat Sheet). More would not do in a VM of
 * 256 MiB, which checks a few logins at once beside its clients; each takes about a tenth of a second.
 */
const ARGON2ID = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

/** The password's hash as a PHC string, "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH". */
export const hashPassword = (password: string): Promise<string> => Bun.password.hash(password, ARGON2ID);
