/**
 * Cuts links between containers by packet filters in their network namespaces: what is cut is dropped where it arrives, one way,
 * whoever dialed, as a broken network does it. Filters of a container are gone when it is started again.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import type { ClusterNetwork } from './cluster-driver.ts';

const anybody = '*';

export class ComposeNetwork implements ClusterNetwork {
  readonly #container: (member: string) => string;
  readonly #filtered = new Set<string>();

  constructor(container: (member: string) => string) {
    this.#container = container;
  }

  /** It takes root, nsenter and iptables. */
  static isPossible(): boolean {
    const isRoot = process.getuid?.() === 0;
    return isRoot && ['nsenter', 'iptables'].every((program) => spawnSync(program, ['--version']).status === 0);
  }

  cut(from: string, to: string): void {
    if (to === anybody) return this.#drop(from, ['OUTPUT', '!', '--out-interface', 'lo']);
    if (from === anybody) return this.#drop(to, ['INPUT', '!', '--in-interface', 'lo']);
    for (const address of this.#addresses(from)) this.#drop(to, ['INPUT', '--source', address]);
  }

  heal(): void {
    for (const member of this.#filtered) {
      const pid = this.#pid(member);
      if (pid !== null) this.#iptables(pid, ['--flush']);
    }
    this.#filtered.clear();
  }

  #drop(member: string, rule: readonly string[]): void {
    const pid = this.#pid(member);
    // Who does not run hears nothing anyway.
    if (pid === null) return;
    this.#filtered.add(member);
    this.#iptables(pid, ['--append', ...rule, '--jump', 'DROP']);
  }

  #iptables(pid: number, words: readonly string[]): void {
    execFileSync('nsenter', ['--target', String(pid), '--net', 'iptables', ...words]);
  }

  #pid(member: string): number | null {
    const pid = Number(this.#inspect(member, '{{.State.Pid}}'));
    return pid > 0 ? pid : null;
  }

  #addresses(member: string): readonly string[] {
    const text = this.#inspect(member, '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}');
    return text.split(/\s+/).filter((address) => address !== '');
  }

  #inspect(member: string, format: string): string {
    return execFileSync('docker', ['inspect', '--format', format, this.#container(member)], {
      encoding: 'utf8',
    }).trim();
  }
}
