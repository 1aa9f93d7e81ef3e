/** A stream that takes a chunk when it is asked for one, and tells when nobody wants more. */
export function streamOf(chunks: AsyncIterator<Uint8Array>, cancel: () => void): ReadableStream<Uint8Array> {
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const chunk = await chunks.next();
    if (chunk.done === true) controller.close();
    else controller.enqueue(chunk.value);
  };
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}
