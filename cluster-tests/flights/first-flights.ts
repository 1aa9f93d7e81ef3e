/** A smaller file of flights with the first rows of the large one, in its order. */
import { writeFileSync } from 'node:fs';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteBuffer } from 'hyparquet-writer';

/** @param rowCount rows from the beginning */
export async function writeFirstFlights(from: string, to: string, rowCount: number): Promise<void> {
  const file = await asyncBufferFromFile(from);
  const rows = await parquetReadObjects({ file, compressors, rowEnd: rowCount, columns: ['date', 'delay', 'origin'] });
  const column = (name: string): unknown[] => rows.map((row) => row[name]);
  const columnData = [
    { name: 'date', data: column('date'), type: 'TIMESTAMP' as const },
    { name: 'delay', data: column('delay').map(Number), type: 'INT32' as const },
    { name: 'origin', data: column('origin'), type: 'STRING' as const },
  ];
  writeFileSync(to, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 20_000 })));
}
