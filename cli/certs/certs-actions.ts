/** Connects the commands with what they do. */
import type { Terminal } from '../output/terminal.ts';
import type { CertsActions } from './certs-program.ts';

/** @param terminal made anew for every command */
export function certsActions(terminal: () => Terminal): CertsActions {
  const context = (): { terminal: Terminal; nowMs: number } => ({ terminal: terminal(), nowMs: Date.now() });
  const certs = () => import('./certs-command.ts');
  const tokens = () => import('./tokens-command.ts');
  return {
    certsInit: async (options) => (await certs()).certsInit(options, context()),
    certsIssue: async (options) => (await certs()).certsIssue(options, context()),
    certsRotate: async (options) => (await certs()).certsRotate(options, context()),
    certsShow: async (directory) => (await certs()).certsShow(directory, context()),
    tokensCreate: async (options) => (await tokens()).tokensCreate(options, context()),
    tokensList: async (file) => (await tokens()).tokensList(file, context()),
    tokensRevoke: async (file, name) => (await tokens()).tokensRevoke(file, name, context()),
  };
}
