/**
 * Limits of every connection of the control plane, in one place: those of the two sides have to fit together, or a server
 * takes a patient client for a hostile one (GOAWAY too_many_pings).
 */
import { type ChannelOptions, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

/** One message, encoded. A deployment of a thousand slots has less than 1 MiB. */
export const messageMaxBytes = 16 * 1024 * 1024;
/** Connections to one server; a cluster has one for each task manager and client. */
export const connectionsMax = 4_096;
/** Calls at the same time on one connection. */
export const concurrentCallsMax = 256;
/** What may be on its way without being taken by the reader. The default of 64 KiB stalls long links. */
export const flowControlWindowBytes = 4 * 1024 * 1024;
/** An idle connection is asked this often whether the other process still turns; the kernel alone says yes for a stopped one. */
export const keepaliveMs = 2_000;
/** Silence after the question that ends the connection. */
export const keepaliveTimeoutMs = 3_000;
/** A connection that is not ready by then is not made. */
export const connectDeadlineMs = 5_000;
/** Pauses between tries to connect. */
export const reconnectMinMs = 100;
export const reconnectMaxMs = 1_000;
/** Longest time of a 32-bit timer: never. */
const neverMs = 2 ** 31 - 1;

const both: ChannelOptions = {
  'grpc.keepalive_time_ms': keepaliveMs,
  'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
  'grpc.keepalive_permit_without_calls': 1,
  // Sizes are checked before sending and after receiving with messages that name the method; this is for foreign peers.
  'grpc.max_receive_message_length': messageMaxBytes,
  'grpc.max_send_message_length': -1,
  // Keeps a record of every call and connection for ever.
  'grpc.enable_channelz': 0,
};

export const serverOptions: ChannelOptions = {
  ...both,
  'grpc.max_concurrent_streams': concurrentCallsMax,
};

export const clientOptions: ChannelOptions = {
  ...both,
  // A channel of its own for each client: closing it closes the connection.
  'grpc.use_local_subchannel_pool': 1,
  // Repeating is decided by who knows whether it is safe.
  'grpc.enable_retries': 0,
  // Addresses are ours: no proxy of the environment, no settings by DNS.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // A restarted container has another address.
  'grpc.dns_min_time_between_resolutions_ms': reconnectMaxMs,
  'grpc.client_idle_timeout_ms': neverMs,
  'grpc.initial_reconnect_backoff_ms': reconnectMinMs,
  'grpc.max_reconnect_backoff_ms': reconnectMaxMs,
  'grpc-node.flow_control_window': flowControlWindowBytes,
};

/** Failures are told to the caller; gRPC's own lines on standard error would be in nobody's log. Its variable turns them on. */
export function quietGrpc(): void {
  if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);
}
