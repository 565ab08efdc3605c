/** What TCP of one interface did, by name; what it refused is among the interface's drops. */
import { Counters } from "../../lib/counters.ts";

/** Each with a sentence for the operator. */
export const TCP_TEXT = {
  segmentsReceived: "Segments for connections and listeners; a super-frame counts once.",
  segmentsSent: "Segments that were sent, those of a super-frame one by one.",
  opened: "Connections that we began.",
  accepted: "Connections that others began.",
  refused: "Attempts of ours that were answered by a reset.",
  resetByPeer: "Connections that the peer broke off.",
  timedOut: "Connections that ended because the peer did not answer.",
  resetsSent: "Resets for connections of ours.",
  halfOpen: "SYNs that were answered and kept.",
  cookiesSent:
    "SYNs that were answered by a cookie, because the backlog was full: a flood, or a listener that is too slow.",
  cookiesAccepted: "Connections that came from a cookie.",
  cookiesRefused: "Acknowledgements that bore no valid cookie.",
  acceptOverflows: "Handshakes that were complete while the accept queue was full.",
  retransmitted: "Segments that were sent again.",
  timeouts: "Retransmission timeouts.",
  tailProbes: "Tail loss probes (RFC 8985 7).",
  recoveries: "Times that loss was found before a timeout.",
  undone: "Times that such a loss, or a timeout, turned out to be none.",
  duplicates: "Segments whose data had all arrived before.",
  outOfOrder: "Segments with data beyond a hole.",
  challenges: "Segments that may be forged and were answered by an acknowledgement (RFC 5961).",
  windowProbes: "Probes of a window that the peer keeps closed.",
  keepalives: "Probes of a silent peer.",
  blackHoles: "Times that segments became smaller because large ones did not arrive.",
  pathMtuErrors: "Reports of a router that segments are too large.",
  softErrors: "Reports of a router that the peer cannot be reached.",
  congestionMarks: "Segments that arrived with a mark of congestion.",
  congestionEchoes: "Times that we slowed down because a peer had seen such a mark.",
  timeWaitReused: "Connections that took the place of one in TIME-WAIT (RFC 6191).",
  timeWaitEvicted: "Connections in TIME-WAIT that gave way before their time.",
} as const;
export type TcpCounter = keyof typeof TCP_TEXT;
const NAMES = Object.keys(TCP_TEXT) as TcpCounter[];

export const tcpCounters = (): Counters<TcpCounter> => new Counters(NAMES);

const index = (name: TcpCounter): number => NAMES.indexOf(name);
export const SEGMENTS_RECEIVED = index("segmentsReceived");
export const SEGMENTS_SENT = index("segmentsSent");
export const OPENED = index("opened");
export const ACCEPTED = index("accepted");
export const REFUSED = index("refused");
export const RESET_BY_PEER = index("resetByPeer");
export const TIMED_OUT = index("timedOut");
export const RESETS_SENT = index("resetsSent");
export const HALF_OPEN = index("halfOpen");
export const COOKIES_SENT = index("cookiesSent");
export const COOKIES_ACCEPTED = index("cookiesAccepted");
export const COOKIES_REFUSED = index("cookiesRefused");
export const ACCEPT_OVERFLOWS = index("acceptOverflows");
export const RETRANSMITTED = index("retransmitted");
export const TIMEOUTS = index("timeouts");
export const TAIL_PROBES = index("tailProbes");
export const RECOVERIES = index("recoveries");
export const UNDONE = index("undone");
export const DUPLICATES = index("duplicates");
export const OUT_OF_ORDER = index("outOfOrder");
export const CHALLENGES = index("challenges");
export const WINDOW_PROBES = index("windowProbes");
export const KEEPALIVES = index("keepalives");
export const BLACK_HOLES = index("blackHoles");
export const PATH_MTU_ERRORS = index("pathMtuErrors");
export const SOFT_ERRORS = index("softErrors");
export const CONGESTION_MARKS = index("congestionMarks");
export const CONGESTION_ECHOES = index("congestionEchoes");
export const TIME_WAIT_REUSED = index("timeWaitReused");
export const TIME_WAIT_EVICTED = index("timeWaitEvicted");
