/**
 * The header in front of each packet of a device that takes super-frames (struct virtio_net_hdr, linux/virtio_net.h), and the columns of a
 * batch that say the same.
 */
import { type Batch, GSO_NONE, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import {
  VNET_CSUM_OFFSET,
  VNET_CSUM_START,
  VNET_FLAGS,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_HDR_LEN,
} from "../sys/struct.ts";

/**
 * Reads the header at `at` into the columns of a row. A field that means nothing in this packet is anything.
 * @param shift bytes by which the packet begins before the place that the kernel means
 */
export function readVnet(view: DataView, at: number, batch: Batch, row: number, shift = 0): void {
  batch.flags[row] = view.getUint8(at + VNET_FLAGS);
  batch.gsoType[row] = view.getUint8(at + VNET_GSO_TYPE);
  batch.hdrLen[row] = view.getUint16(at + VNET_HDR_LEN, true) + shift;
  batch.gsoSize[row] = view.getUint16(at + VNET_GSO_SIZE, true);
  batch.csumStart[row] = view.getUint16(at + VNET_CSUM_START, true) + shift;
  batch.csumOffset[row] = view.getUint16(at + VNET_CSUM_OFFSET, true);
}

/** Writes the header of the packet that begins with a row. The kernel believes whatever stands there, so what means nothing is zero. */
export function writeVnet(view: DataView, at: number, batch: Batch, row: number): void {
  const flags = batch.flags[row]! & VNET_NEEDS_CSUM;
  const isSuper = batch.gsoType[row] !== GSO_NONE;
  view.setUint8(at + VNET_FLAGS, flags);
  view.setUint8(at + VNET_GSO_TYPE, batch.gsoType[row]!);
  view.setUint16(at + VNET_HDR_LEN, isSuper ? batch.hdrLen[row]! : 0, true);
  view.setUint16(at + VNET_GSO_SIZE, isSuper ? batch.gsoSize[row]! : 0, true);
  view.setUint16(at + VNET_CSUM_START, flags === 0 ? 0 : batch.csumStart[row]!, true);
  view.setUint16(at + VNET_CSUM_OFFSET, flags === 0 ? 0 : batch.csumOffset[row]!, true);
}
