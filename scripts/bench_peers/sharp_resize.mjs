// sharp with a number of photos in flight, each on one thread of libvips.
// node sharp_resize.mjs FOLDER_OF_NODE_MODULES PHOTOS OUT SIZE QUALITY OPTIMIZE IN_FLIGHT

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [modules, photos, out, ...numbers] = process.argv.slice(2);
const [size, quality, optimize, inFlight] = numbers.map(Number);
const sharp = createRequire(path.join(modules, "anything.js"))("sharp");

sharp.concurrency(1);
sharp.cache(false);

const waiting = readdirSync(photos).sort();

async function lane() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    await sharp(path.join(photos, name))
      .autoOrient()
      .resize({
        width: size,
        height: size,
        fit: "inside",
        kernel: "lanczos3",
        withoutEnlargement: true,
      })
      .keepMetadata()
      .jpeg({
        quality,
        chromaSubsampling: "4:2:0",
        mozjpeg: false,
        optimiseCoding: optimize === 1,
      })
      .toFile(path.join(out, name));
  }
}

await Promise.all(Array.from({ length: inFlight }, lane));
