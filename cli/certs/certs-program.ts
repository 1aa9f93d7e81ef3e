/** `millrace certs` and `millrace tokens`: what can be typed. What a command does is loaded only when it is called. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { certificateRoleNames, tokenRoles } from '../../core/security/roles.ts';
import { parseChoice, parseDuration } from '../options/parse-options.ts';
import type { CertsInitOptions, CertsIssueOptions } from './certs-command.ts';
import type { TokensCreateOptions } from './tokens-command.ts';

/** What the commands call. */
export interface CertsActions {
  certsInit(options: CertsInitOptions): Promise<void>;
  certsIssue(options: CertsIssueOptions): Promise<void>;
  certsRotate(options: { readonly directory: string; readonly validMs: number }): Promise<void>;
  certsShow(directory: string): Promise<void>;
  tokensCreate(options: TokensCreateOptions): Promise<void>;
  tokensList(file: string): Promise<void>;
  tokensRevoke(file: string, name: string): Promise<void>;
}

const dayMs = 86_400_000;
const authorityValidMs = 3_650 * dayMs;
const certificateValidMs = 365 * dayMs;
const valid = (text: string): number => parseDuration('--valid', text);
const hosts = (text: string, before: readonly string[] = []): readonly string[] => [...before, ...text.split(',')];

interface DirectoryFlag {
  readonly directory: string;
}

export function addCertsCommands(program: Command, actions: CertsActions): void {
  addCerts(program.command('certs').description('certificates of a cluster'), actions);
  addTokens(program.command('tokens').description('tokens of people and programs that use a cluster'), actions);
}

function addCerts(certs: Command, actions: CertsActions): void {
  const inDirectory = (command: Command): Command =>
    command.option('--directory <directory>', 'where authority and certificates are', 'certs');
  inDirectory(certs.command('init'))
    .description('make the authority of a cluster')
    .requiredOption('--cluster <name>', 'name of the cluster')
    .option('--valid <time>', 'for how long; default: 3650d', valid, authorityValidMs)
    .action((flags: DirectoryFlag & { cluster: string; valid: number }) =>
      actions.certsInit({ directory: resolve(flags.directory), cluster: flags.cluster, validMs: flags.valid }),
    );
  inDirectory(certs.command('issue'))
    .description('make the certificate of a process or a client')
    .requiredOption('--role <role>', `one of ${certificateRoleNames.join(', ')}`, (text) =>
      parseChoice('--role', text, certificateRoleNames),
    )
    .option('--host <host>', 'name or address it is reached at; may be given again', hosts)
    .option('--name <name>', 'of its files; default: the role')
    .option('--valid <time>', 'for how long; default: 365d', valid, certificateValidMs)
    .action((flags: DirectoryFlag & IssueFlags) =>
      actions.certsIssue({
        directory: resolve(flags.directory),
        role: flags.role,
        hosts: flags.host ?? [],
        name: flags.name ?? null,
        validMs: flags.valid,
      }),
    );
  inDirectory(certs.command('rotate'))
    .description('renew all certificates; running processes take them up')
    .option('--valid <time>', 'for how long; default: 365d', valid, certificateValidMs)
    .action((flags: DirectoryFlag & { valid: number }) =>
      actions.certsRotate({ directory: resolve(flags.directory), validMs: flags.valid }),
    );
  inDirectory(certs.command('show'))
    .description('list certificates with role, hosts and end')
    .action((flags: DirectoryFlag) => actions.certsShow(resolve(flags.directory)));
}

interface IssueFlags {
  readonly role: CertsIssueOptions['role'];
  readonly host?: readonly string[];
  readonly name?: string;
  readonly valid: number;
}

function addTokens(tokens: Command, actions: CertsActions): void {
  const inFile = (command: Command): Command => command.option('--file <file>', 'the tokens file', 'tokens.json');
  inFile(tokens.command('create'))
    .description('make a token; it is printed once and kept nowhere')
    .requiredOption('--name <name>', 'whose it is')
    .requiredOption('--role <role>', `one of ${tokenRoles.join(', ')}`, (text) =>
      parseChoice('--role', text, tokenRoles),
    )
    .option('--expires <time>', 'for how long, for example 90d; default: without end', (text) =>
      parseDuration('--expires', text),
    )
    .action((flags: { file: string; name: string; role: TokensCreateOptions['role']; expires?: number }) =>
      actions.tokensCreate({
        file: resolve(flags.file),
        name: flags.name,
        role: flags.role,
        expiresInMs: flags.expires ?? null,
      }),
    );
  inFile(tokens.command('list'))
    .description('names, roles and ends')
    .action((flags: { file: string }) => actions.tokensList(resolve(flags.file)));
  inFile(tokens.command('revoke <name>'))
    .description('refuse a token from now on')
    .action((name: string, flags: { file: string }) => actions.tokensRevoke(resolve(flags.file), name));
}
