// Opens a page in Chromium that compares cases, with a server for it on this machine; it reaches no other.
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";

const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const SECONDS = 900; // then a page without an answer has failed
const FLAGS = [
  "--headless",
  "--no-sandbox", // which root does not have; the page is our own
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/** What `page.html` finds: { place, found }. The page reads the files of `directories`, by their names. */
export async function resultsOfPage(browser, directories, cases) {
  const served = { ...directories, page: import.meta.dirname };
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
  let server, running;
  try {
    return await new Promise((resolve, reject) => {
      server = http.createServer((request, response) => {
        if (request.method === "POST") return answerOf(request).then(resolve, reject);
        send(response, served, decodeURIComponent(request.url), cases);
      });
      server.listen(0, "127.0.0.1", () => {
        const address = `http://127.0.0.1:${server.address().port}/page/page.html`;
        running = spawn(browser, [...FLAGS, `--user-data-dir=${profile}`, address], { stdio: "ignore" });
        running.on("error", reject);
        running.on("exit", (code) => reject(new Error(`${browser} ended with ${code}`)));
      });
      setTimeout(reject, SECONDS * 1000, new Error(`no answer in ${SECONDS} s`)).unref();
    });
  } finally {
    await ended(running);
    server.close();
    server.closeAllConnections();
    fs.rmSync(profile, { recursive: true, maxRetries: 10 });
  }
}

async function answerOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const answer = JSON.parse(Buffer.concat(parts));
  if (answer.error) throw new Error(answer.error);
  return answer;
}

function send(response, served, file, cases) {
  try {
    const [, directory, ...parts] = file.split("/");
    const body = file === "/cases.json" ? JSON.stringify(cases) : fs.readFileSync(path.join(served[directory], ...parts));
    response.setHeader("Content-Type", TYPES[path.extname(file)] ?? "application/octet-stream").end(body);
  } catch (error) {
    response.writeHead(404).end(String(error));
  }
}

function ended(running) {
  if (running?.pid === undefined || running.exitCode !== null || running.signalCode) return undefined;
  return new Promise((resolve) => {
    running.on("exit", resolve);
    running.kill();
  });
}
