// A proxy that compresses what it may, as many servers in Node do:
// compression.mjs LISTEN TARGET, both host:port.
import compression from "compression";
import http from "node:http";

const [listen, target] = process.argv.slice(2).map((address) => address.split(":"));
const compress = compression({ threshold: 0 });
http.createServer((request, answer) => compress(request, answer, () => {
  const { url: path, method, headers } = request;
  const behind = http.request({ host: target[0], port: target[1], path, method, headers }, (from) => {
    answer.writeHead(from.statusCode, from.headers);
    from.pipe(answer);
  });
  behind.on("error", () => answer.destroy());
  answer.on("close", () => behind.destroy());
  request.pipe(behind);
})).listen(listen[1], listen[0]);
