"""A second reader of the protocol: written from docs/protocol.md, in another language and with other libraries than the program.

    reader.py vectors PROTOCOL.md     computes every vector of the document, and prints those that differ
    reader.py recording FILE.json     decodes a recorded connection, and prints what it found as JSON

Python 3 with its standard library and `cryptography` (Debian: python3-cryptography). TLS 1.3 is decrypted by RFC 8446, with the secrets
that stand in the recording (as in an SSLKEYLOGFILE).
"""

import base64
import hashlib
import hmac
import json
import re
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

DIGESTS = {"MD5": 16, "SHA1": 20, "SHA224": 28, "SHA256": 32, "SHA384": 48, "SHA512": 64}
KEY_BYTES = {"AES-256": 32, "AES-192": 24, "AES-128": 16, "CHACHA20": 32}
PING = bytes.fromhex("2a187bf3641eb4cb07ed2d0a981fc748")
OCC = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c")
NO_PEER = 0xFFFFFF


class Wrong(Exception):
    """What was read is not what the document says."""


def need(condition, what):
    if not condition:
        raise Wrong(what)


def mac(digest, key, data):
    return hmac.new(key, data, getattr(hashlib, digest.lower())).digest()


def ctr(key, iv, data):
    stream = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return stream.update(data) + stream.finalize()


def cipher_key_bytes(cipher):
    return KEY_BYTES[re.match(r"AES-\d+|CHACHA20", cipher).group()]


# --- Streams, control packets


def frame(packets):
    return b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def emit_control(opcode, key_id, session, acks, peer, packet_id, payload):
    out = bytes([opcode << 3 | key_id]) + session + bytes([len(acks)])
    out += b"".join(struct.pack(">I", ack) for ack in acks)
    if acks:
        out += peer
    if packet_id is not None:
        out += struct.pack(">I", packet_id) + payload
    return out


def parse_control(plain):
    opcode, key_id = plain[0] >> 3, plain[0] & 7
    count, at = plain[9], 10
    acks = [struct.unpack_from(">I", plain, at + 4 * i)[0] for i in range(count)]
    at += 4 * count
    peer = None
    if count > 0:
        peer, at = plain[at : at + 8], at + 8
    packet_id = None
    if opcode != 5:
        packet_id, at = struct.unpack_from(">I", plain, at)[0], at + 4
    need(at <= len(plain), "a control packet ends within its header")
    payload = plain[at:] if opcode != 5 else b""
    return {"opcode": opcode, "key_id": key_id, "session": plain[1:9], "acks": acks, "peer": peer, "id": packet_id, "payload": payload}


# --- Protection of control packets


def part(block, key, is_hmac, length):
    at = 128 * key + (64 if is_hmac else 0)
    return block[at : at + length]


def seal_tls_auth(key, number, digest, replay_id, time, plain):
    head = struct.pack(">II", replay_id, time)
    code = mac(digest, part(key, number, True, DIGESTS[digest]), head + plain)
    return plain[:9] + code + head + plain[9:]


def open_tls_auth(key, number, digest, packet):
    length = DIGESTS[digest]
    head = packet[9 + length : 17 + length]
    plain = packet[:9] + packet[17 + length :]
    code = mac(digest, part(key, number, True, length), head + plain)
    need(hmac.compare_digest(code, packet[9 : 9 + length]), "a tls-auth HMAC is wrong")
    return plain, struct.unpack(">II", head)


def seal_tls_crypt(key, number, replay_id, time, plain):
    head = plain[:9] + struct.pack(">II", replay_id, time)
    tag = mac("SHA256", part(key, number, True, 32), head + plain[9:])
    return head + tag + ctr(part(key, number, False, 32), tag[:16], plain[9:])


def open_tls_crypt(key, number, packet):
    head, tag = packet[:17], packet[17:49]
    body = ctr(part(key, number, False, 32), tag[:16], packet[49:])
    code = mac("SHA256", part(key, number, True, 32), head + body)
    need(hmac.compare_digest(code, tag), "a tls-crypt tag is wrong")
    return packet[:9] + body, struct.unpack(">II", head[9:])


def wrap_key(server_key, client_key, metadata):
    length = struct.pack(">H", 32 + len(client_key) + len(metadata) + 2)
    tag = mac("SHA256", server_key[64:96], length + client_key + metadata)
    return tag + ctr(server_key[:32], tag[:16], client_key + metadata) + length


def unwrap_key(server_key, wrapped):
    need(290 <= len(wrapped) <= 1024, "a wrapped key has a length that it cannot have")
    tag, length = wrapped[:32], wrapped[-2:]
    plain = ctr(server_key[:32], tag[:16], wrapped[32:-2])
    need(hmac.compare_digest(mac("SHA256", server_key[64:96], length + plain), tag), "a wrapped key's tag is wrong")
    return plain[:256], plain[256:]


def wants_key_again(payload):
    at, again = 0, False
    while at < len(payload):
        kind, length = struct.unpack_from(">HH", payload, at)
        value = payload[at + 4 : at + 4 + length]
        need(len(value) == length, "an item of early negotiation is cut short")
        if kind == 1:
            need(length == 2, "flags of another length than 2")
            again = again or value[1] & 1 == 1
        at += 4 + length
    return again


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


def cookie(key, hand_window, address, session, time):
    return mac("SHA256", key, struct.pack(">d", time // max(1, (hand_window + 1) // 2)) + session + address)[:8]


# --- Key exchange and derivation


def emit_string(text):
    return b"\0\0" if text is None else struct.pack(">H", len(text) + 1) + text + b"\0"


def parse_key_exchange(data, is_client):
    need(data[:4] == bytes(4) and data[4] & 15 == 2, "no key method 2")
    at, out = 5, {}
    for name, length in (("pre_master", 48 if is_client else 0), ("random1", 32), ("random2", 32)):
        out[name], at = data[at : at + length], at + length
    for name in ("options", "user", "password", "peer_info"):
        if at + 2 > len(data):
            break
        length = struct.unpack_from(">H", data, at)[0]
        if length > 0x3FFF:
            break
        out[name] = data[at + 2 : at + 2 + length].split(b"\0")[0].decode() if length else None
        at += 2 + length
    return out, data[at:]


def options_string(side, cipher, auth, mtu, framing, fragment, stream, keydir):
    aead = not cipher.endswith("-CBC")
    block = 8 if cipher.startswith("BF") else 16
    overhead = 49 if aead else 1 + DIGESTS[auth] + block + 4 + block
    overhead += (framing in ("byte", "swap")) + 4 * fragment
    bits = 128 if cipher.startswith("BF") else 8 * cipher_key_bytes(cipher)
    items = ["V4", "dev-type tun", f"link-mtu {mtu + overhead}", f"tun-mtu {mtu}"]
    items.append(f"proto TCPv4_{side.upper()}" if stream else "proto UDPv4")
    items += ["comp-lzo"] if framing != "none" else []
    items += ["mtu-dynamic"] if fragment else []
    items += [f"keydir {keydir}"] if keydir is not None else []
    items += [f"cipher {cipher}", f"auth {'[null-digest]' if aead else auth}", f"keysize {bits}"]
    items += ["tls-auth"] if keydir is not None else []
    return ",".join(items + ["key-method 2", f"tls-{side}"])


def p_hash(digest, secret, seed, length):
    out, a = b"", seed
    while len(out) < length:
        a = mac(digest, secret, a)
        out += mac(digest, secret, a + seed)
    return out[:length]


def prf(secret, seed, length):
    half = (len(secret) + 1) // 2
    return xor(p_hash("MD5", secret[:half], seed, length), p_hash("SHA1", secret[len(secret) - half :], seed, length))


def derive_by_prf(pre_master, randoms, sessions):
    (client1, client2), (server1, server2) = randoms
    master = prf(pre_master, b"OpenVPN master secret" + client1 + server1, 48)
    return prf(master, b"OpenVPN key expansion" + client2 + server2 + sessions[0] + sessions[1], 256)


def hkdf_expand(digest, secret, info, length):
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = mac(digest, secret, block + info + bytes([count]))
        out, count = out + block, count + 1
    return out[:length]


def expand_label(digest, secret, label, context, length):
    info = struct.pack(">H", length) + bytes([len(label)]) + label + bytes([len(context)]) + context
    return hkdf_expand(digest, secret, info, length)


# --- The data channel


def aead(cipher, key):
    return ChaCha20Poly1305(key) if cipher == "CHACHA20-POLY1305" else AESGCM(key)


def data_header(key_id, peer_id):
    if peer_id == NO_PEER:
        return bytes([6 << 3 | key_id])
    return struct.pack(">I", (9 << 3 | key_id) << 24 | peer_id)


def header_length(packet):
    return 4 if packet[0] >> 3 == 9 else 1


def classic(cipher, block, number):
    return aead(cipher, part(block, number, False, cipher_key_bytes(cipher))), part(block, number, True, 8)


def seal_aead(cipher, block, number, key_id, peer_id, packet_id, payload):
    key, iv = classic(cipher, block, number)
    header, counter = data_header(key_id, peer_id), struct.pack(">I", packet_id)
    sealed = key.encrypt(counter + iv, payload, (header if len(header) == 4 else b"") + counter)
    return header + counter + sealed[-16:] + sealed[:-16]


def open_aead(cipher, block, number, packet):
    key, iv = classic(cipher, block, number)
    at = header_length(packet)
    counter = packet[at : at + 4]
    tag, text = packet[at + 4 : at + 20], packet[at + 20 :]
    added = (packet[:4] if at == 4 else b"") + counter
    return struct.unpack(">I", counter)[0], key.decrypt(counter + iv, text + tag, added)


def epoch_secret(block, number, epoch):
    secret = part(block, number, False, 32)
    for _ in range(1, epoch):
        secret = expand_label("SHA256", secret, b"ovpn datakey upd", b"", 32)
    return secret


def epoch_key(cipher, secret):
    key = expand_label("SHA256", secret, b"ovpn data_key", b"", cipher_key_bytes(cipher))
    return key, expand_label("SHA256", secret, b"ovpn data_iv", b"", 12)


def seal_epoch(cipher, block, number, key_id, peer_id, epoch, counter, payload):
    key, iv = epoch_key(cipher, epoch_secret(block, number, epoch))
    header, ids = data_header(key_id, peer_id), struct.pack(">Q", epoch << 48 | counter)
    nonce = xor(iv[:8], ids) + iv[8:]
    return header + ids + aead(cipher, key).encrypt(nonce, payload, (header if len(header) == 4 else b"") + ids)


def open_epoch(cipher, block, number, packet):
    at = header_length(packet)
    ids, sealed = packet[at : at + 8], packet[at + 8 :]
    epoch, counter = struct.unpack(">Q", ids)[0] >> 48, struct.unpack(">Q", ids)[0] & (1 << 48) - 1
    key, iv = epoch_key(cipher, epoch_secret(block, number, epoch))
    added = (packet[:4] if at == 4 else b"") + ids
    return epoch, counter, aead(cipher, key).decrypt(xor(iv[:8], ids) + iv[8:], sealed, added)


def cbc(key, iv):
    return Cipher(algorithms.AES(key), modes.CBC(iv))


def seal_cbc(cipher, digest, block, number, iv, body):
    pad = 16 - len(body) % 16
    key = cbc(part(block, number, False, cipher_key_bytes(cipher)), iv).encryptor()
    text = iv + key.update(body + bytes([pad]) * pad) + key.finalize()
    return mac(digest, part(block, number, True, DIGESTS[digest]), text) + text


def open_cbc(cipher, digest, block, number, sealed):
    length = DIGESTS[digest]
    code, text = sealed[:length], sealed[length:]
    need(hmac.compare_digest(code, mac(digest, part(block, number, True, length), text)), "a data packet's HMAC is wrong")
    key = cbc(part(block, number, False, cipher_key_bytes(cipher)), text[:16]).decryptor()
    body = key.update(text[16:]) + key.finalize()
    pad = body[-1]
    need(1 <= pad <= 16 and body[-pad:] == bytes([pad]) * pad, "a padding is none")
    return body[:-pad]


def add_framing(framing, packet):
    if framing == "byte":
        return b"\xfa" + packet
    if framing == "swap":
        return b"\xfb" + packet[1:] + packet[:1]
    return b"\x50\x00" + packet if framing == "v2" and packet[0] == 0x50 else packet


def strip_framing(framing, payload):
    if framing in ("byte", "swap"):
        need(payload[0] in (0xFA, 0xFB), "a packet is compressed, which this reader does not undo")
        return payload[1:] if payload[0] == 0xFA else payload[-1:] + payload[1:-1]
    if framing == "v2" and payload[0] == 0x50:
        need(payload[1] == 0, "a packet is compressed, which this reader does not undo")
        return payload[2:]
    return payload


def join_pieces(pieces):
    held = {}
    for piece in pieces:
        flags, data = struct.unpack(">I", piece[:4])[0], piece[4:]
        kind, number = flags & 3, flags >> 10 & 31
        if kind == 0:
            return data
        held[number] = data
        if kind == 2:
            last, size = number, (flags >> 15 & 0x3FFF) * 4
    need(all(len(held[n]) == size for n in range(last)), "a piece has another length than the last one says")
    return b"".join(held[n] for n in range(last + 1))


# --- The vectors of the document


def vector_bytes(text):
    counting = re.fullmatch(r"([0-9a-f]{2})\.\.([0-9a-f]{2})", text)
    if counting:
        return bytes(range(int(counting[1], 16), int(counting[2], 16) + 1))
    if text.startswith('"'):
        return vector_text(text)
    return bytes.fromhex(text)


def vector_text(text):
    return text[1:-1].replace("\\n", "\n").replace("\\0", "\0").encode()


def number_of(side):
    """Of the data channel's keys."""
    return 0 if side == "client" else 1


def tls_crypt_number(side):
    return 0 if side == "server" else 1


def peer_id_of(text):
    return NO_PEER if text == "none" else int(text)


def compute(kind, v):
    b = lambda name: vector_bytes(v[name])
    n = lambda name: int(v[name])
    t = lambda name: vector_text(v[name]) if name in v else None
    if kind == "stream":
        return {"stream": frame([vector_bytes(p.strip()) for p in v["packets"].split(";")])}
    if kind == "control-packet":
        acks = [int(a) for a in v["acks"].split()]
        args = (n("opcode"), n("key-id"), b("session"), acks, b("peer-session") if acks else None)
        return {"packet": emit_control(*args, n("id") if "id" in v else None, b("payload") if "payload" in v else b"")}
    if kind == "tls-auth":
        packet = seal_tls_auth(b("key"), n("direction"), v["digest"], n("id"), n("time"), b("plain"))
        need(open_tls_auth(b("key"), n("direction"), v["digest"], packet)[0] == b("plain"), "it does not open")
        return {"packet": packet}
    if kind in ("tls-crypt", "dynamic-tls-crypt"):
        key = b("key") if kind == "tls-crypt" else xor(b("exported"), b("static-key"))
        packet = seal_tls_crypt(key, tls_crypt_number(v["sender"]), n("id"), n("time"), b("plain"))
        need(open_tls_crypt(key, tls_crypt_number(v["sender"]), packet)[0] == b("plain"), "it does not open")
        return {"packet": packet}
    if kind == "tls-crypt-v2":
        wrapped = wrap_key(b("server-key"), b("client-key"), b("metadata"))
        need(unwrap_key(b("server-key"), wrapped) == (b("client-key"), b("metadata")), "it does not open")
        return {"wrapped": wrapped}
    if kind == "early-negotiation":
        return {"resend": "yes" if wants_key_again(b("payload")) else "no"}
    if kind == "cookie":
        return {"cookie": cookie(b("key"), n("hand-window"), b("address"), b("session"), n("time"))}
    if kind == "key-method":
        head = bytes([0, 0, 0, 0, 2]) + (b("pre-master") if v["sender"] == "client" else b"")
        strings = b"".join(emit_string(t(name)) for name in ("options", "user", "password", "peer-info"))
        return {"message": head + b("random1") + b("random2") + strings}
    if kind == "options-string":
        keydir = None if v["tls-auth"] == "no" else n("tls-auth")
        names = (v["side"], t("cipher").decode(), t("auth").decode(), n("tun-mtu"), v["framing"])
        return {"options": options_string(*names, v["fragment"] == "yes", v["stream"] == "yes", keydir).encode()}
    if kind == "prf":
        return {"output": prf(b("secret"), t("label") + b("seed"), 32)}
    if kind == "key-derivation":
        randoms = [(b(f"{side}-random1"), b(f"{side}-random2")) for side in ("client", "server")]
        return {"block": derive_by_prf(b("pre-master"), randoms, (b("client-session"), b("server-session")))}
    if kind == "aead":
        args = (v["cipher"], b("block"), number_of(v["sender"]))
        packet = seal_aead(*args, n("key-id"), peer_id_of(v["peer-id"]), n("id"), b("payload"))
        need(open_aead(*args, packet) == (n("id"), b("payload")), "it does not open")
        return {"packet": packet}
    if kind == "expand-label":
        return {"output": expand_label("SHA256", b("secret"), b"ovpn " + t("label"), b"", n("length"))}
    if kind == "epoch-key":
        key, iv = epoch_key(v["cipher"], b("secret"))
        return {"key": key, "iv": iv}
    if kind == "epoch":
        place = (n("key-id"), peer_id_of(v["peer-id"]), n("epoch"), n("counter"))
        packet = seal_epoch(v["cipher"], b("block"), number_of(v["sender"]), *place, b("payload"))
        opened = open_epoch(v["cipher"], b("block"), number_of(v["sender"]), packet)
        need(opened == (n("epoch"), n("counter"), b("payload")), "it does not open")
        return {"packet": packet}
    if kind == "cbc":
        body = struct.pack(">I", n("id")) + b("payload")
        sealed = seal_cbc(v["cipher"], v["digest"], b("block"), number_of(v["sender"]), b("iv"), body)
        return {"packet": data_header(n("key-id"), peer_id_of(v["peer-id"])) + sealed}
    if kind == "static-key":
        body = struct.pack(">II", n("id"), n("time")) + b("payload")
        return {"packet": seal_cbc(v["cipher"], v["digest"], b("key"), n("direction"), b("iv"), body)}
    if kind == "compression":
        framed = add_framing(v["framing"], b("packet"))
        need(strip_framing(v["framing"], framed) == b("packet"), "it is read as another one")
        return {"framed": framed}
    if kind == "fragments":
        return {"packet": join_pieces([vector_bytes(p.strip()) for p in v["pieces"].split(";")])}
    if kind == "payload":
        return {"payload": PING if v["kind"] == "ping" else OCC + b"\x06"}
    if kind == "auth-token":
        head = b("session") + struct.pack(">QQ", n("began"), n("made"))
        return {"token": b"SESS_ID_AT_" + base64.b64encode(head + mac("SHA256", b("key"), t("user") + head))}
    if kind == "scrv1":
        parts = (base64.b64encode(t("password")), base64.b64encode(t("answer")))
        return {"sent": b"SCRV1:" + b":".join(parts)}
    raise Wrong(f"no such kind of vector: {kind}")


def vectors(path):
    document = open(path, encoding="utf-8").read()
    agreed, problems = 0, []
    for match in re.finditer(r"^```vector (\S+)\n(.*?)^```$", document, re.M | re.S):
        line = document.count("\n", 0, match.start()) + 1
        given, results = {}, {}
        for row in re.sub(r"\n +", " ", match[2].rstrip()).split("\n"):
            arrow, name, value = re.fullmatch(r"(-> )?(\S+) =(?: (.*))?", row).groups()
            (results if arrow else given)[name] = value or ""
        try:
            found = compute(match[1], given)
        except Exception as error:  # any of them is a disagreement, which is told with its place
            problems.append(f"line {line}: {match[1]}: {error!r}")
            continue
        for name, value in results.items():
            wanted = value if isinstance(found.get(name), str) else vector_bytes(value)
            if found.get(name) == wanted:
                agreed += 1
            else:
                problems.append(f"line {line}: {match[1]}: {name} is {found.get(name)!r}")
    return {"agreed": agreed, "problems": problems}


# --- TLS 1.3, as much as it takes to read what is inside (RFC 8446)

SUITES = {0x1301: ("SHA256", 16, AESGCM), 0x1302: ("SHA384", 32, AESGCM), 0x1303: ("SHA256", 32, ChaCha20Poly1305)}


class TlsReader:
    """One direction of a TLS 1.3 session, fed with records."""

    def __init__(self, secrets, side):
        self.secrets, self.side, self.suite = secrets, side, None
        self.data, self.plain, self.handshake, self.stage = b"", b"", b"", None

    def use(self, stage):
        digest, length, _ = self.suite
        secret = self.secrets[f"{self.side.upper()}_{stage}"]
        self.key = expand_label(digest, secret, b"tls13 key", b"", length)
        self.iv = expand_label(digest, secret, b"tls13 iv", b"", 12)
        self.sequence, self.stage = 0, stage

    def feed(self, data):
        self.data += data
        while len(self.data) >= 5:
            length = struct.unpack_from(">H", self.data, 3)[0]
            if len(self.data) < 5 + length:
                return
            record, self.data = self.data[: 5 + length], self.data[5 + length :]
            if record[0] == 23:
                self.open(record)

    def open(self, record):
        if self.stage is None:
            self.use("HANDSHAKE_TRAFFIC_SECRET")
        nonce = xor(self.iv, bytes(4) + struct.pack(">Q", self.sequence))
        inner = self.suite[2](self.key).decrypt(nonce, record[5:], record[:5]).rstrip(b"\0")
        self.sequence += 1
        if inner[-1] == 23:
            self.plain += inner[:-1]
        elif inner[-1] == 22 and self.stage == "HANDSHAKE_TRAFFIC_SECRET":
            self.handshake += inner[:-1]
            at = 0
            while at + 4 <= len(self.handshake):
                kind, length = self.handshake[at], int.from_bytes(self.handshake[at + 1 : at + 4], "big")
                at += 4 + length
                # Finished: what follows has other keys
                if kind == 20 and at <= len(self.handshake):
                    self.use("TRAFFIC_SECRET_0")

    def take(self):
        plain, self.plain = self.plain, b""
        return plain


def tls_exporter(digest, secret, label, length):
    empty = getattr(hashlib, digest.lower())(b"").digest()
    derived = expand_label(digest, secret, b"tls13 " + label, empty, len(empty))
    return expand_label(digest, derived, b"tls13 exporter", empty, length)


# --- A recorded connection


class Exchange:
    """One key id: both directions of its packets in order, its TLS and what that carries."""

    def __init__(self):
        self.packets = {"client": {}, "server": {}}
        self.next = {"client": 0, "server": 0}
        self.tls = {"client": None, "server": None}
        self.hello = {"client": b"", "server": b""}
        self.message = {"client": None, "server": None}
        self.text = {"client": b"", "server": b""}
        self.block = None


class Recording:
    def __init__(self, recording):
        self.r = recording
        self.wrap = recording["wrap"]
        self.key = bytes.fromhex(self.wrap.get("key", ""))
        self.dynamic = None
        self.sessions, self.exchanges = {}, {}
        self.found = {"messages": [], "logins": [], "data": [], "opcodes": [], "resends": False, "metadata": None}
        self.secrets = {}
        for row in recording["keylog"]:
            label, random, secret = row.split()
            self.secrets.setdefault(random, {})[label] = bytes.fromhex(secret)
        self.plan = None
        self.ids = {}

    def run(self):
        held = {"client": b"", "server": b""}
        for packet in self.r["packets"]:
            data, side = bytes.fromhex(packet["bytes"]), packet["from"]
            if not self.r.get("stream"):
                self.take(side, data)
                continue
            held[side] += data
            while len(held[side]) >= 2:
                length = struct.unpack_from(">H", held[side])[0]
                need(length > 0, "a packet of a stream has no byte")
                if len(held[side]) < 2 + length:
                    break
                data, held[side] = held[side][2 : 2 + length], held[side][2 + length :]
                self.take(side, data)
        return self.found

    def take(self, side, data):
        opcode = data[0] >> 3
        if opcode in (6, 9):
            self.take_data(side, data)
        else:
            self.take_control(side, data)

    def unseal(self, side, data):
        opcode, key_id = data[0] >> 3, data[0] & 7
        if opcode in (10, 11):
            length = struct.unpack(">H", data[-2:])[0]
            need(290 <= length <= 1024, "a wrapped key has a length that it cannot have")
            key, metadata = unwrap_key(bytes.fromhex(self.wrap["server-key"]), data[-length:])
            need(key == self.key, "the wrapped key is another one")
            self.found["metadata"] = metadata.hex()
            data = data[:-length]
        if key_id > 0 and self.dynamic is not None:
            return open_tls_crypt(self.dynamic, tls_crypt_number(side), data)
        if self.wrap["kind"] in ("tls-crypt", "tls-crypt-v2"):
            return open_tls_crypt(self.key, tls_crypt_number(side), data)
        if self.wrap["kind"] == "tls-auth":
            own = self.wrap["direction"]
            return open_tls_auth(self.key, own if side == "client" else 1 - own, self.wrap["digest"], data)
        return data, None

    def take_control(self, side, data):
        plain, replay = self.unseal(side, data)
        packet = parse_control(plain)
        self.found["opcodes"].append([side, packet["opcode"], packet["key_id"]])
        self.check_session(side, packet)
        if replay is not None:
            self.check_replay(side, packet, replay)
        exchange = self.exchanges.setdefault(packet["key_id"], Exchange())
        if packet["id"] is None:
            return
        exchange.packets[side].setdefault(packet["id"], packet)
        while exchange.next[side] in exchange.packets[side]:
            inner = exchange.packets[side][exchange.next[side]]
            exchange.next[side] += 1
            if inner["opcode"] == 8 and self.wrap["kind"] == "tls-crypt-v2":
                self.found["resends"] = wants_key_again(inner["payload"])
            if inner["opcode"] in (4, 11):
                self.take_tls(packet["key_id"], side, inner["payload"])

    def check_session(self, side, packet):
        need(self.sessions.setdefault(side, packet["session"]) == packet["session"], "a session id changed")
        other = "server" if side == "client" else "client"
        if packet["peer"] is not None:
            need(packet["peer"] == self.sessions[other], "an acknowledgement names another session")

    def check_replay(self, side, packet, replay):
        """Fresh ids for every packet, in order on this link, and a time that stays."""
        place = (side, packet["key_id"] > 0 and self.dynamic is not None)
        last = self.ids.get(place)
        if last is not None:
            need(replay[0] > last[0], "a replay id came again")
            need(side == "server" or replay[1] == last[1], "the time of replay ids changed")
        elif side == "client" and not place[1]:
            first = 0x0F000001 if self.wrap["kind"] == "tls-crypt-v2" else 1
            need(replay[0] == first, "the first replay id is another one")
        self.ids[place] = replay

    def take_tls(self, key_id, side, payload):
        exchange = self.exchanges[key_id]
        if exchange.tls[side] is None:
            exchange.hello[side] += payload
            self.begin_tls(exchange)
            return
        exchange.tls[side].feed(payload)
        self.take_plain(key_id, side)

    def begin_tls(self, exchange):
        """When both hellos are there: the client's random names the secrets, the server's hello the suite."""
        client, server = exchange.hello["client"], exchange.hello["server"]
        if len(client) < 43 or len(server) < 80 or len(server) < 5 + struct.unpack_from(">H", server, 3)[0]:
            return
        secrets = self.secrets[client[11:43].hex()]
        suite = SUITES[struct.unpack_from(">H", server, 44 + server[43])[0]]
        exchange.exporter = (suite[0], secrets["EXPORTER_SECRET"])
        for side in ("client", "server"):
            exchange.tls[side] = TlsReader(secrets, side)
            exchange.tls[side].suite = suite
            exchange.tls[side].feed(exchange.hello[side])

    def take_plain(self, key_id, side):
        exchange = self.exchanges[key_id]
        exchange.text[side] += exchange.tls[side].take()
        if exchange.message[side] is None:
            if not exchange.text[side]:
                return
            message, rest = parse_key_exchange(exchange.text[side], side == "client")
            exchange.message[side], exchange.text[side] = message, rest
            strings = [message.get(name) for name in ("options", "user", "password", "peer_info")]
            self.found["logins"].append([side, key_id, strings])
            if side == "server" and key_id > 0:
                self.make_keys(exchange)
        while b"\0" in exchange.text[side]:
            text, exchange.text[side] = exchange.text[side].split(b"\0", 1)
            self.found["messages"].append([side, text.decode()])
            if text.startswith(b"PUSH_REPLY"):
                self.settle(text.decode().split(","))
                self.make_keys(exchange)

    def settle(self, options):
        words = {option.split(" ")[0]: option.split(" ")[1:] for option in options}
        flags = words.get("protocol-flags", [])
        is_ekm = "tls-ekm" in flags or words.get("key-derivation") == ["tls-ekm"]
        framing = "none"
        if "comp-lzo" in words:
            framing = "byte"
        if "compress" in words:
            framing = {"stub-v2": "v2", "lz4-v2": "v2", "lzo": "byte"}.get("".join(words["compress"]), "swap")
        is_epoch = "aead-epoch" in flags
        self.plan = {"cipher": words["cipher"][0], "ekm": is_ekm, "framing": framing, "epoch": is_epoch}
        if "dyn-tls-crypt" in flags:
            exported = self.export(self.exchanges[0], b"EXPORTER-OpenVPN-dynamic-tls-crypt")
            self.dynamic = exported if self.wrap["kind"] == "none" else xor(exported, self.key)

    def export(self, exchange, label):
        digest, secret = exchange.exporter
        return tls_exporter(digest, secret, label, 256)

    def make_keys(self, exchange):
        if self.plan["ekm"]:
            exchange.block = self.export(exchange, b"EXPORTER-OpenVPN-datakeys")
            return
        client, server = exchange.message["client"], exchange.message["server"]
        randoms = [(m["random1"], m["random2"]) for m in (client, server)]
        exchange.block = derive_by_prf(client["pre_master"], randoms, (self.sessions["client"], self.sessions["server"]))

    def take_data(self, side, data):
        block = self.exchanges[data[0] & 7].block
        cipher, number = self.plan["cipher"], number_of(side)
        if cipher.endswith("-CBC"):
            body = open_cbc(cipher, self.r["auth"], block, number, data[header_length(data) :])
            packet_id, payload = struct.unpack(">I", body[:4])[0], body[4:]
        elif self.plan["epoch"]:
            epoch, packet_id, payload = open_epoch(cipher, block, number, data)
            need(epoch == 1, "an epoch that has encrypted nearly nothing is over")
        else:
            packet_id, payload = open_aead(cipher, block, number, data)
        payload = strip_framing(self.plan["framing"], payload)
        kind = "ping" if payload == PING else "exit" if payload == OCC + b"\x06" else payload.hex()
        self.found["data"].append([side, data[0] & 7, packet_id, kind])


def main():
    command, path = sys.argv[1:]
    result = vectors(path) if command == "vectors" else Recording(json.load(open(path, encoding="utf-8"))).run()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
