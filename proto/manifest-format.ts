/** Format of manifests written by this release; older ones are read for ever. */
export const manifestFormatVersion = 1;
