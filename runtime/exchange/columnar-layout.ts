/**
 * Layout of an exchange frame. Private to one release: the version of the engine is compared in the handshake, so nothing
 * here is kept for old readers. All numbers little-endian, `varint` is unsigned LEB128.
 *
 * ```
 * frame   flags u8 | rows varint | watermark f64 (flag) | timestamps f64[rows] (flag) | split watermarks f64[rows] (flag)
 *         | row kinds u8[rows] (flag) | column of the values (when rows > 0)
 * column  kind u8, then by kind, for `rows` values:
 *   int32    i32[rows]
 *   float64  f64[rows]
 *   ascii    lengths | one byte a unit, all strings joined
 *   utf16    lengths | two bytes a unit, all strings joined
 *   simple   u8[rows]: undefined, null, false, true
 *   date     f64[rows], NaN when invalid
 *   objects  shape varint (a new one is followed by: count varint, names as values) | a column for each field
 *   mixed    classes u8 | class of each row u8[rows] | a column for each class, of its rows only
 *   values   bytes varint | rows values of the stored-value codec, without version bytes
 *   arrays   lengths | a column of all elements
 *   sparse   present u8[rows]: 0 or 1 | a column of the rows that are present (only as the column of a field)
 * lengths   width u8 (1 or 4) | total varint | u8 or u32 [rows]
 * ```
 *
 * Every row costs at least a byte, so the number of rows is checked against the frame before anything is allocated. An
 * optional field that some rows leave out is a sparse column; a nullable one comes out as a mixed column.
 */

export const frameFlags = { timestamps: 1, splitWatermarks: 2, rowKinds: 4, watermark: 8 } as const;

export const columnKinds = {
  int32: 0,
  float64: 1,
  ascii: 2,
  utf16: 3,
  simple: 4,
  date: 5,
  objects: 6,
  mixed: 7,
  values: 8,
  arrays: 9,
  sparse: 10,
} as const;

export const simpleValues = { undefined: 0, null: 1, false: 2, true: 3 } as const;

/** Shapes a channel learns; objects of further shapes travel as stored values. */
export const shapesMaxDefault = 64;
/** Fields of a learned shape; objects with more are maps rather than records and travel as stored values. */
export const shapeFieldsMax = 256;
/**
 * Objects and arrays inside each other that get columns. Deeper values travel as stored values: columns of columns of few
 * rows are slower than that, and a cycle must not multiply columns before it is found.
 */
export const columnDepthMax = 4;
