/**
 * Entry of the state host thread: one per task manager, it owns the state databases of all slots, so that a stuck slot can be
 * ended without touching an open database. Started by state-host-client.ts, from `dist/`.
 */
import { parentPort, type MessagePort } from 'node:worker_threads';
import { assert } from '../../core/errors.ts';
import { wakeSlot, type MainToStateHost, type SlotToStateHost, type StateHostToMain } from './state-host-messages.ts';
import { StateHostService } from './state-host-service.ts';

assert(parentPort !== null, 'the state host runs as a worker thread');
const main: MessagePort = parentPort;
const service = new StateHostService();
const ports = new Set<MessagePort>();

function attach({ connectionId, slot, port, shared }: Extract<MainToStateHost, { kind: 'attachSlot' }>): void {
  service.attach(slot);
  ports.add(port);
  port.on('message', (request: SlotToStateHost) => {
    const answer = service.handle(slot, request);
    if (answer?.kind === 'answer' && answer.values.length > 0)
      port.postMessage(answer, [answer.values.buffer as ArrayBuffer]);
    else if (answer !== null) port.postMessage(answer);
    const isBlocking = request.kind === 'read' || request.kind === 'scan' || request.kind === 'sync';
    if (isBlocking) wakeSlot(shared);
  });
  port.on('close', () => {
    ports.delete(port);
    service.detach(slot);
    main.postMessage({ kind: 'detached', connectionId } satisfies StateHostToMain);
  });
}

main.on('message', (message: MainToStateHost) => {
  if (message.kind === 'attachSlot') return attach(message);
  for (const port of ports) port.close();
  main.close();
});
main.postMessage({ kind: 'ready' } satisfies StateHostToMain);
