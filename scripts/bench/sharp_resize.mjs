// sharp with a number of pictures in flight, each on one thread of libvips.
// node sharp_resize.mjs TASK, a JSON object:
//
// modules    the folder of node_modules
// photos     the folder of sources; out: the folder of outputs
// lanes      pictures in flight
// sizes      sides of boxes, the largest first; with several, names end in -SIZE
// format     jpeg, png, webp, avif; options: that encoder's own
// suffix     of the outputs
// sharpen    none, mild (a 3 x 3 kernel) or sigma (an unsharp mask on lightness, sigma 1)
// flatten    whether to put transparency on white
// chained    whether to decode once, for the largest size, and go on from its pixels

import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

const task = JSON.parse(process.argv[2]);
const sharp = createRequire(path.join(task.modules, "anything.js"))("sharp");

sharp.concurrency(1);
sharp.cache(false);

const waiting = readdirSync(task.photos).sort();
const { sizes } = task;

function resized(image, size) {
  const box = { width: size, height: size, fit: "inside", kernel: "lanczos3" };
  return image.resize({ ...box, withoutEnlargement: true });
}

function finished(image, name, size) {
  if (task.sharpen === "mild") image.sharpen();
  if (task.sharpen === "sigma") image.sharpen({ sigma: 1 });
  if (task.flatten) image.flatten({ background: "#fff" });
  const number = sizes.length > 1 ? `-${size}` : "";
  const target = path.join(task.out, `${path.parse(name).name}${number}${task.suffix}`);
  return image.toFormat(task.format, task.options).toFile(target);
}

async function chained(source, name) {
  const [largest, ...rest] = sizes;
  const first = await resized(sharp(source).autoOrient(), largest)
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = () => sharp(first.data, { raw: first.info });
  await finished(raw(), name, largest);
  for (const size of rest) await finished(resized(raw(), size), name, size);
}

async function lane() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const file = path.join(task.photos, name);
    // Read once, where it is decoded several times.
    const source = sizes.length > 1 ? await readFile(file) : file;
    const upright = () => sharp(source).autoOrient().keepMetadata();
    if (task.chained) await chained(source, name);
    else if (sizes.length === 0) await finished(upright(), name);
    else for (const size of sizes) await finished(resized(upright(), size), name, size);
  }
}

await Promise.all(Array.from({ length: task.lanes }, lane));
