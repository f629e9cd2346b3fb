// The same work as flows/bench.lua, as a Restate service: three journaled steps, each a POST to the target.
import http from 'node:http';
import http2 from 'node:http2';
import { createRequire } from 'node:module';

const require = createRequire(process.env.PEER_DIR + '/package.json');
const restate = require('@restatedev/restate-sdk');
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
const port = Number(process.env.TARGET_PORT);

function post(wf, step) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ wf, step, amount: 1999 });
    const request = http.request(
      { host: '127.0.0.1', port, method: 'POST', path: '/step', agent,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } },
      (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; });
        response.on('end', () => { try { resolve(JSON.parse(text)); } catch (error) { reject(error); } });
      });
    request.on('error', reject);
    request.end(body);
  });
}

const flow = restate.service({
  name: 'flow',
  handlers: {
    run: async (context, input) => {
      for (let step = 1; step <= 3; step++) await context.run('s' + step, () => post(input.id, step));
      return { ok: true };
    },
  },
});
http2.createServer(restate.endpoint().bind(flow).http2Handler())
  .listen(Number(process.env.WORKER_PORT), '127.0.0.1', () => console.log('ready'));
