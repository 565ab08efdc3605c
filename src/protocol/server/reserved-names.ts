/** Names that no client has of its own. */

/** Who has shown neither a certificate nor, where that names it, a user. OpenVPN's word, and that of its file. */
export const NOBODY = "UNDEF";
/** The file of whoever has none of its own (CCD_DEFAULT of OpenVPN's common.h). */
export const DEFAULT_FILE = "DEFAULT";
