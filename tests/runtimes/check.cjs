// Compares the cases of `make runtimes` with onnxruntime-node or onnxruntime-web.
//
//     node check.cjs PROJECT PACKAGE CASES RESULTS.json ROWS
//
// PROJECT is the directory that the package is installed in. Batches of more than ROWS rows are cut off there.
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const [project, name, cases, results, most] = process.argv.slice(2);
const ort = createRequire(path.resolve(project) + "/")(name);
if (name === "onnxruntime-web") ort.env.wasm.numThreads = 1;

const ARRAYS = {
  int64: (values) => BigInt64Array.from(values, BigInt),
  float32: (values) => Float32Array.from(values, number),
  float64: (values) => Float64Array.from(values, number),
  bool: (values) => Uint8Array.from(values),
  string: (values) => values,
};

function number(value) {
  return { nan: NaN, inf: Infinity, "-inf": -Infinity }[value] ?? value;
}

function cut({ dtype, shape, values }) {
  const rows = Math.min(shape[0], Number(most));
  const each = shape.slice(1).reduce((product, size) => product * size, 1);
  return { dtype, shape: [rows, ...shape.slice(1)], values: values.slice(0, rows * each) };
}

function tensor(described) {
  const { dtype, shape, values } = cut(described);
  return new ort.Tensor(dtype, ARRAYS[dtype](values), shape);
}

function same(dtype, found, expected) {
  if (!dtype.startsWith("float")) return String(found) === String(dtype === "bool" ? Number(expected) : expected);
  expected = number(expected);
  if (Number.isNaN(expected)) return Number.isNaN(found);
  return found === expected || Math.abs(found - expected) <= 1e-5 + 1e-5 * Math.abs(expected);
}

function difference(found, described) {
  const { dtype, shape, values } = cut(described);
  if (String(found.dims) !== String(shape)) return `has shape [${found.dims}] instead of [${shape}]`;
  const at = values.findIndex((expected, place) => !same(dtype, found.data[place], expected));
  return at < 0 ? "" : `is ${found.data[at]} instead of ${values[at]} at ${at}`;
}

async function check(directory) {
  let session;
  try {
    session = await ort.InferenceSession.create(fs.readFileSync(path.join(directory, "model.onnx")), {
      executionProviders: [name === "onnxruntime-web" ? "wasm" : "cpu"],
      logSeverityLevel: 3,
    });
    for (const batch of JSON.parse(fs.readFileSync(path.join(directory, "batches.json")))) {
      const feeds = Object.fromEntries(Object.entries(batch.inputs).map(([key, value]) => [key, tensor(value)]));
      const found = await session.run(feeds);
      for (const [output, expected] of Object.entries(batch.outputs)) {
        const differs = difference(found[output], expected);
        if (differs) return `output '${output}' of ${expected.shape[0]} rows ${differs}`;
      }
    }
    return "";
  } catch (error) {
    return String(error);
  } finally {
    if (session) await session.release();
  }
}

async function main() {
  const found = {};
  for (const estimator of fs.readdirSync(cases).sort()) {
    for (const column of fs.readdirSync(path.join(cases, estimator)).sort()) {
      const directory = path.join(cases, estimator, column);
      if (fs.existsSync(path.join(directory, "model.onnx"))) found[`${estimator}/${column}`] = await check(directory);
    }
  }
  const { version } = JSON.parse(fs.readFileSync(path.join(project, "node_modules", name, "package.json")));
  const runtime = `${name.replace("onnxruntime-", "")} ${version}`;
  fs.writeFileSync(results, JSON.stringify({ runtime, cases: found }));
  const wrong = Object.entries(found).filter(([, problem]) => problem);
  const all = Object.keys(found).length;
  console.log(`${runtime}: ${all - wrong.length} of ${all} models answer as Python does`);
  for (const [key, problem] of wrong) console.log(`  ${key}: ${problem.slice(0, 300)}`);
  process.exitCode = wrong.length || !all ? 1 : 0;
}

main();
