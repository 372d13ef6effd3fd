// Compares a case of `make runtimes` with onnxruntime-node or onnxruntime-web, in Node or in a browser.

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

function same(dtype, found, expected) {
  if (!dtype.startsWith("float")) return String(found) === String(dtype === "bool" ? Number(expected) : expected);
  expected = number(expected);
  if (Number.isNaN(expected)) return Number.isNaN(found);
  return found === expected || Math.abs(found - expected) <= 1e-5 + 1e-5 * Math.abs(expected);
}

function difference(found, { dtype, shape, values }) {
  if (String(found.dims) !== String(shape)) return `has shape [${found.dims}] instead of [${shape}]`;
  const at = values.findIndex((expected, place) => !same(dtype, found.data[place], expected));
  return at < 0 ? "" : `is ${found.data[at]} instead of ${values[at]} at ${at}`;
}

/** "" or what is wrong; `read` gives the bytes of a file of the case. */
export async function check(ort, provider, read) {
  let session;
  try {
    session = await ort.InferenceSession.create(await read("model.onnx"), {
      executionProviders: [provider],
      logSeverityLevel: 3,
    });
    for (const { inputs, outputs } of JSON.parse(new TextDecoder().decode(await read("batches.json")))) {
      const feeds = Object.entries(inputs).map(([name, { dtype, shape, values }]) => {
        return [name, new ort.Tensor(dtype, ARRAYS[dtype](values), shape)];
      });
      const found = await session.run(Object.fromEntries(feeds));
      for (const [name, described] of Object.entries(outputs)) {
        const differs = difference(found[name], described);
        if (differs) return `output '${name}' of ${described.shape[0]} rows ${differs}`;
      }
    }
    return "";
  } catch (error) {
    return String(error);
  } finally {
    if (session) await session.release();
  }
}
