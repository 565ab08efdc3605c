/** An image of one layer as a tar archive in the OCI image layout, which `linuxkit cache import` reads. */
import { writeTar } from "./tar.ts";
import { directory, type Entry, file } from "./tree.ts";

const sha256 = (bytes: Uint8Array | string): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

/** name: as in the yml, "morgana/root:local". */
export function ociImage(name: string, entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const blobs: Entry[] = [];
  const blob = (mediaType: string, content: Uint8Array | string) => {
    const digest = sha256(content);
    const made = file(`blobs/sha256/${digest}`, content);
    blobs.push(made);
    return { mediaType, digest: `sha256:${digest}`, size: made.content.length };
  };
  const archive = writeTar(entries);
  // LinuxKit's check of its cache refuses a layer that is not compressed.
  const layer = blob("application/vnd.oci.image.layer.v1.tar+gzip", Bun.gzipSync(archive, { level: 1 }));
  const platform = { architecture: "amd64", os: "linux" };
  const config = blob(
    "application/vnd.oci.image.config.v1+json",
    JSON.stringify({ ...platform, config: {}, rootfs: { type: "layers", diff_ids: [`sha256:${sha256(archive)}`] } }),
  );
  const manifest = blob(
    "application/vnd.oci.image.manifest.v1+json",
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config,
      layers: [layer],
    }),
  );
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ ...manifest, platform, annotations: { "io.containerd.image.name": `docker.io/${name}` } }],
  };
  return writeTar([
    file("oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" })),
    directory("blobs"),
    directory("blobs/sha256"),
    ...blobs,
    file("index.json", JSON.stringify(index)),
  ]);
}
