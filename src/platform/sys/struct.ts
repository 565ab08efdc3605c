/** Layouts of C structures on 64-bit little-endian Linux: sizes, offsets, and writers over a DataView. */

/** struct iovec { void *base; size_t length; } */
export const IOVEC_BYTES = 16;

export function writeIovec(view: DataView, at: number, pointer: number, length: number): void {
  writePointer(view, at, pointer);
  view.setUint32(at + 8, length, true);
  view.setUint32(at + 12, 0, true);
}

/** struct mmsghdr { struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }; unsigned len; } */
export const MMSGHDR_BYTES = 64;
export const MMSGHDR_NAME = 0;
export const MMSGHDR_NAMELEN = 8;
export const MMSGHDR_IOV = 16;
export const MMSGHDR_IOVLEN = 24;
export const MMSGHDR_CONTROL = 32;
export const MMSGHDR_CONTROLLEN = 40;
export const MMSGHDR_FLAGS = 48;
export const MMSGHDR_LEN = 56;

/** struct cmsghdr { size_t length; int level, type; }, then the data; the next one begins at a multiple of 8. */
export const CMSGHDR_BYTES = 16;
export const CMSGHDR_LEVEL = 8;
export const CMSGHDR_TYPE = 12;

/** struct pollfd { int fd; short events; short revents; } */
export const POLLFD_BYTES = 8;
export const POLLFD_EVENTS = 4;
export const POLLFD_REVENTS = 6;

/** struct virtio_net_hdr (linux/virtio_net.h) without num_buffers, as AF_PACKET uses it; little-endian fields. */
export const VNET_HDR_BYTES = 10;
export const VNET_FLAGS = 0;
export const VNET_GSO_TYPE = 1;
export const VNET_HDR_LEN = 2;
export const VNET_GSO_SIZE = 4;
export const VNET_CSUM_START = 6;
export const VNET_CSUM_OFFSET = 8;

/** A user-space address: below 2^48, so two exact halves. */
export function writePointer(view: DataView, at: number, pointer: number): void {
  const low = pointer >>> 0;
  view.setUint32(at, low, true);
  view.setUint32(at + 4, (pointer - low) / 0x1_0000_0000, true);
}

/** struct sockaddr_ll for bind: family, protocol (network order), interface index. */
export function sockaddrLl(protocol: number, ifindex: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 17, true);
  view.setUint16(2, protocol, false);
  view.setInt32(4, ifindex, true);
  return bytes;
}

/** struct ifreq with the name set; the union starts at IFREQ_DATA. */
export const IFREQ_BYTES = 40;
export const IFREQ_DATA = 16;

export function ifreq(name: string): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(IFREQ_BYTES);
  bytes.set(new TextEncoder().encode(name).subarray(0, 15));
  return { bytes, view: new DataView(bytes.buffer) };
}
