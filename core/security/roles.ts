/**
 * Who may do what. People and programs hold tokens of one of four roles, each of which may do what those before it may.
 * Processes of the cluster show a certificate instead, and no token stands for one.
 */

/** Roles of tokens, from the least to the most. */
export const tokenRoles = ['viewer', 'operator', 'submitter', 'admin'] as const;
/** What the holder of a token may do. */
export type TokenRole = (typeof tokenRoles)[number];

/** Roles of certificates. A `client` is known to belong to the cluster and may do nothing without a token. */
export const certificateRoleNames = ['job-manager', 'task-manager', 'client'] as const;
/** What a certificate says its holder is. */
export type CertificateRole = (typeof certificateRoleNames)[number];

/** In words, for messages and pages. */
export const tokenRoleMeanings: Readonly<Record<TokenRole, string>> = {
  viewer: 'looks at jobs, task managers and logs',
  operator: 'also cancels, stops and rescales jobs and takes savepoints',
  submitter: 'also submits jobs, which is running code as the user of the task managers',
  admin: 'everything',
};

/** True for one of {@link tokenRoles}. */
export function isTokenRole(text: string): text is TokenRole {
  return (tokenRoles as readonly string[]).includes(text);
}

/** True when a token of role `held` may do what asks for `needed`; what asks for a certificate is never allowed by a token. */
export function tokenAllows(held: TokenRole, needed: string): boolean {
  return isTokenRole(needed) && tokenRoles.indexOf(held) >= tokenRoles.indexOf(needed);
}

const namePattern = /^[A-Za-z0-9._-]{1,64}$/;

/** Names of clusters, tokens and secrets: letters, digits, dot, underscore and hyphen, at most 64, and not dots alone. */
export function isPlainName(name: string): boolean {
  return namePattern.test(name) && !/^\.+$/.test(name);
}
