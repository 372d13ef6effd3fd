// Runs the cases of `make runtimes` in onnxruntime-node or onnxruntime-web.
//
//     node run.mjs PROJECT PACKAGE BROWSER CASES RESULTS.json
//
// PROJECT is the directory that the package is installed in. BROWSER is the command of Chromium, or "" for Node.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { resultsOfPage } from "./browser.mjs";
import { check } from "./check.mjs";

const [project, name, browser, directory, results] = process.argv.slice(2);
const [isWeb, packages] = [name === "onnxruntime-web", path.resolve(project, "node_modules", name)];

function namesOfCases() {
  const models = fs.readdirSync(directory, { recursive: true }).filter((file) => path.basename(file) === "model.onnx");
  return models.map(path.dirname).sort();
}

async function resultsOfNode(cases) {
  const ort = createRequire(path.resolve(project) + "/")(name);
  if (isWeb) ort.env.wasm.numThreads = 1;
  const found = {};
  for (const each of cases) {
    const read = (file) => fs.promises.readFile(path.join(directory, each, file));
    found[each] = await check(ort, isWeb ? "wasm" : "cpu", read);
  }
  return { place: isWeb ? ", wasm, in Node" : "", found };
}

async function main() {
  const cases = namesOfCases();
  const { place, found } = browser
    ? await resultsOfPage(browser, { ort: path.join(packages, "dist"), cases: directory }, cases)
    : await resultsOfNode(cases);
  const { version } = JSON.parse(fs.readFileSync(path.join(packages, "package.json")));
  const runtime = `${name} ${version}${place}`;
  fs.writeFileSync(results, JSON.stringify({ runtime, cases: found }));
  const wrong = Object.entries(found).filter(([, problem]) => problem);
  console.log(`${runtime}: ${cases.length - wrong.length} of ${cases.length} models answer as Python does`);
  for (const [key, problem] of wrong) console.log(`  ${key}: ${problem.slice(0, 300)}`);
  process.exitCode = wrong.length || !cases.length ? 1 : 0;
}

main();
