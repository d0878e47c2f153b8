// An application that takes files, keeps their size and the first bytes, and tells its parent when asked.
import { createServer } from 'node:http';

let bytes = 0;
let start = '';
let etag: unknown;
const server = createServer((request, response) => {
  etag = request.headers['skiff-etag'];
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => {
    if (bytes === 0) start = chunk.subarray(0, 5).toString();
    bytes += chunk.length;
  });
  request.on('end', () => response.end());
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
});
process.on('message', () => process.send?.({ bytes, start, etag }));
process.on('disconnect', () => process.exit(0));
