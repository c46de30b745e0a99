// What a datalake in the next room is like: S3's GET and HEAD of ranges, 20 ms later. For benchmarks: it checks no keys.
// node slow_s3.mjs FOLDER → prints its port; GET /-/counts tells requests and bytes served.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";

const folder = path.resolve(process.argv[2]);
const DELAY = Number(process.env.BENCH_DELAY ?? 20); // milliseconds
let requests = 0;
let bytes = 0;
const files = new Map(); // path → [descriptor, size]; a benchmark's files do not change

function open(name) {
  if (!files.has(name)) {
    const file = fs.openSync(name, "r");
    files.set(name, [file, fs.fstatSync(file).size]);
  }
  return files.get(name);
}

function serve(request, response) {
  const name = path.join(folder, decodeURIComponent(request.url.split("?")[0]));
  let file, size;
  try {
    if (!name.startsWith(folder) || !fs.statSync(name).isFile()) throw new Error("no object");
    [file, size] = open(name);
  } catch {
    response.writeHead(404, { "Content-Type": "application/xml" });
    response.end("<Error><Code>NoSuchKey</Code></Error>");
    return;
  }
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const start = first === undefined ? 0 : Number(first);
  const end = last ? Math.min(Number(last), size - 1) : size - 1;
  const headers = { ETag: `"${size}"`, "Last-Modified": "Fri, 01 Jan 2021 00:00:00 GMT", "Accept-Ranges": "bytes" };
  if (request.headers["if-match"] && request.headers["if-match"] !== headers.ETag) {
    response.writeHead(412, headers);
    response.end();
    return;
  }
  if (start > end) {
    response.writeHead(416, { ...headers, "Content-Range": `bytes */${size}` });
    response.end();
    return;
  }
  headers["Content-Length"] = end - start + 1;
  if (first !== undefined) headers["Content-Range"] = `bytes ${start}-${end}/${size}`;
  response.writeHead(first === undefined ? 200 : 206, headers);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  bytes += end - start + 1;
  const whole = end - start + 1 <= 16 * 2 ** 20;
  if (whole) {
    const buffer = Buffer.allocUnsafe(end - start + 1);
    fs.read(file, buffer, 0, buffer.length, start, () => response.end(buffer));
  } else {
    fs.createReadStream(null, { fd: file, autoClose: false, start, end, highWaterMark: 2 ** 20 }).pipe(response);
  }
}

const server = http.createServer((request, response) => {
  if (request.url === "/-/counts") {
    response.end(`${requests} ${bytes}`);
    return;
  }
  requests += 1;
  setTimeout(serve, DELAY, request, response);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
