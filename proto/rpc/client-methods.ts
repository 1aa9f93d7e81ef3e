/** The methods of the client service as a table; see methods.ts. Its two streams are apart: they have no row. */
import type { ClientRequests } from '../services.ts';
import * as codecs from './client-codecs.ts';
import { acknowledgement } from './codecs.ts';
import { methodsOf, type UnaryMethods } from './methods.ts';

/** Answered from memory. */
const lookMs = 10_000;
/** Answered when something is recorded durably. */
const recordMs = 30_000;
/** Answered when a checkpoint of a large state is complete. */
const checkpointMs = 600_000;
/** For all chunks of one object. */
export const putObjectDeadlineMs = 600_000;

const ofClient = methodsOf('ClientService');

export const clientMethods: UnaryMethods<ClientRequests> = {
  submitJob: ofClient('SubmitJob', codecs.submitJobRequest, codecs.submitJobResponse, recordMs),
  listJobs: ofClient('ListJobs', codecs.listJobsRequest, codecs.listJobsResponse, lookMs),
  getJob: ofClient('GetJob', codecs.getJobRequest, codecs.jobStatus, lookMs),
  cancelJob: ofClient('CancelJob', codecs.cancelJobRequest, acknowledgement, recordMs),
  forgetJob: ofClient('ForgetJob', codecs.forgetJobRequest, acknowledgement, recordMs),
  stopJob: ofClient('StopJob', codecs.stopJobRequest, codecs.stopJobResponse, checkpointMs),
  triggerSavepoint: ofClient(
    'TriggerSavepoint',
    codecs.triggerSavepointRequest,
    codecs.triggerSavepointResponse,
    checkpointMs,
  ),
  disposeSavepoint: ofClient('DisposeSavepoint', codecs.disposeSavepointRequest, acknowledgement, checkpointMs),
  rescaleJob: ofClient('RescaleJob', codecs.rescaleJobRequest, codecs.rescaleJobResponse, checkpointMs),
  readObject: ofClient('ReadObject', codecs.readObjectRequest, codecs.readObjectResponse, recordMs),
  getCluster: ofClient('GetCluster', codecs.getClusterRequest, codecs.clusterStatus, lookMs),
};

export const putObjectPath = '/millrace.v1.ClientService/PutObject';
export const tailLogsPath = '/millrace.v1.ClientService/TailLogs';
