import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConfiguredProcess } from '../../core/config/options.ts';
import type { ResolvedConfig } from '../../core/config/resolve-config.ts';
import { addConfigOptions, configOfCommand } from './config-options.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-options-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function typed(
  process: ConfiguredProcess,
  words: readonly string[],
  environment: Record<string, string> = {},
): { readonly config: ResolvedConfig | null; readonly printed: readonly string[]; readonly help: string } {
  const printed: string[] = [];
  let config: ResolvedConfig | null = null;
  const command = addConfigOptions(new Command(process), process).exitOverride();
  command.action(() => {
    config = configOfCommand(command, process, {
      environment,
      workingDirectory: directory,
      line: (text) => printed.push(text),
    });
  });
  command.parse([...words], { from: 'user' });
  return { config, printed, help: command.helpInformation() };
}

test('flags that were typed come before the environment, and those that were not leave it its turn', () => {
  const environment = { MILLRACE_LEASE_TTL: '2s', MILLRACE_SLOT_WAIT: '1m' };
  const { config } = typed(
    'job-manager',
    ['--lease-ttl', '3s', '--etcd', 'http://a:1', '--etcd', 'http://b:2'],
    environment,
  );
  expect([config?.get('leaseTtl'), config?.get('slotWait'), config?.get('adoptionTimeout')]).toEqual([
    3_000, 60_000, 10_000,
  ]);
  expect(config?.get('etcd.endpoints')).toEqual(['http://a:1', 'http://b:2']);
  expect(config?.get('insecure')).toBe(false);
  expect(typed('job-manager', ['--insecure-i-understand']).config?.get('insecure')).toBe(true);
});

test('a file named on the command line is read, and a wrong value in it names file and option', () => {
  writeFileSync(join(directory, 'other.yaml'), 'taskManager: { slots: many }\n');
  expect(() => typed('task-manager', ['--config', 'other.yaml'])).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: 'taskManager.slots (other.yaml) is a whole number from 1 to 1024, not "many"',
    }),
  );
});

test('the configuration is printed instead of used when that is asked for, without the token', () => {
  const { config, printed } = typed('client', ['--print-config', '--job-manager', 'h:1'], {
    MILLRACE_TOKEN: 'mr_canary',
  });
  expect(config).toBeNull();
  expect(printed.join('\n')).toMatch(/^jobManagers +h:1 {2}\(--job-manager\)$/m);
  expect(printed.join('\n')).toMatch(/^token +\*\*\*/m);
  expect(printed.join('\n')).not.toContain('canary');
});

test('help names every flag with default and variable, and none for the token', () => {
  const { help } = typed('client', ['--print-config']);
  expect(help.replaceAll(/\s+/g, ' ')).toContain(
    'all job managers of the cluster; may be given again. Default: 127.0.0.1:6123 [MILLRACE_JOB_MANAGERS]',
  );
  expect(help).not.toMatch(/--token /);
});
