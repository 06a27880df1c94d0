// Forwards requests to a manager and adds its token, which the conformance tool cannot send. Everything else in a
// request stays unchanged, in particular a false Host or Origin.
//
// Argument: the MCP address of the manager. Prints its own address.

import http from 'node:http';

const target = new URL(process.argv[2]);
const proxy = http.createServer((request, response) => {
  const own = `${proxy.address().address}:${proxy.address().port}`;
  const headers = { ...request.headers, authorization: `Bearer ${process.env.MCP_TOKEN}` };
  for (const [name, value] of [['host', target.host], ['origin', target.origin]]) {
    if (headers[name]?.replace('http://', '').replace('localhost', '127.0.0.1') === own) headers[name] = value;
  }
  const options = { host: target.hostname, port: target.port, path: request.url, method: request.method, headers };
  const onward = http.request(options, answer => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
// The parent has exited.
process.stdin.on('end', () => process.exit()).resume();
proxy.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${proxy.address().port}${target.pathname}`));
