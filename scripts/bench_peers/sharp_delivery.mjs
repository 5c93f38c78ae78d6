// Several sizes of each photo with sharp, each a pipeline of its own, or one after the other.
// node sharp_delivery.mjs NODE_MODULES PHOTOS OUT SIZES QUALITY IN_FLIGHT SHARPEN CHAIN
//
// SHARPEN: none, mild (sharp's 3 x 3 kernel) or sigma (its unsharp mask on lightness, sigma 1).
// CHAIN: 0 decodes for every size; 1 decodes once, for the largest, and goes on from its pixels.

import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

const [modules, photos, out, sizeWords, qualityWord, lanes, sharpen, chain] =
  process.argv.slice(2);
const sizes = sizeWords.split(",").map(Number);
const quality = Number(qualityWord);
const sharp = createRequire(path.join(modules, "anything.js"))("sharp");

sharp.concurrency(1);
sharp.cache(false);

const waiting = readdirSync(photos).sort();

function resized(input, size) {
  const box = { width: size, height: size, fit: "inside", kernel: "lanczos3" };
  return input.resize({ ...box, withoutEnlargement: true });
}

function finished(image, name, size) {
  if (sharpen === "mild") image.sharpen();
  if (sharpen === "sigma") image.sharpen({ sigma: 1 });
  const target = path.join(out, `${path.parse(name).name}-${size}.jpg`);
  return image.jpeg({ quality, chromaSubsampling: "4:2:0" }).toFile(target);
}

async function chained(data, name) {
  const [largest, ...rest] = sizes;
  const first = await resized(sharp(data).autoOrient(), largest)
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = () => sharp(first.data, { raw: first.info });
  await finished(raw(), name, largest);
  for (const size of rest) await finished(resized(raw(), size), name, size);
}

async function lane() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const data = await readFile(path.join(photos, name));
    if (chain === "1") await chained(data, name);
    else
      for (const size of sizes)
        await finished(resized(sharp(data).autoOrient(), size).keepMetadata(), name, size);
  }
}

await Promise.all(Array.from({ length: Number(lanes) }, lane));
