/**
 * What each query must give, as SQL over the tables `person`, `auction` and `bid`: that of the Flink port in the words of
 * DuckDB. Where the port leaves ties open, the event that came first wins here (`n` numbers events), because one order of
 * arrival has one answer.
 */

export interface Expected {
  readonly sql: string;
  /** Columns by which a later row replaces an earlier one; absent when every row is a result. */
  readonly key?: readonly string[];
}

const day = (column: string): string => `strftime(make_timestamp(${column} * 1000), '%Y-%m-%d')`;
const minute = (column: string): string => `strftime(make_timestamp(${column} * 1000), '%H:%M')`;

const bands = [
  ['rank1', 'price < 10000'],
  ['rank2', 'price >= 10000 AND price < 1000000'],
  ['rank3', 'price >= 1000000'],
] as const;

const bidCounts = [
  'count(*) AS totalBids',
  ...bands.map(([name, where]) => `count(*) FILTER (WHERE ${where}) AS ${name}Bids`),
].join(', ');

const distinctCounts = ['bidder', 'auction']
  .flatMap((column) => {
    const name = column === 'bidder' ? 'Bidders' : 'Auctions';
    return [
      `count(DISTINCT ${column}) AS total${name}`,
      ...bands.map(([band, where]) => `count(DISTINCT ${column}) FILTER (WHERE ${where}) AS ${band}${name}`),
    ];
  })
  .join(', ');

const joinedInTime = `auction a JOIN bid b ON a.id = b.auction AND b.dateTime BETWEEN a.dateTime AND a.expires`;

export const expected: Readonly<Record<string, Expected>> = {
  q0: { sql: 'SELECT auction, bidder, price, dateTime, extra FROM bid' },
  q1: { sql: 'SELECT auction, bidder, (price * 908) / 1000 AS price, dateTime, extra FROM bid' },
  q2: { sql: 'SELECT auction, price FROM bid WHERE auction % 123 = 0' },
  q3: {
    sql: `SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id
      WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')`,
  },
  q4: {
    sql: `SELECT category, avg(final) AS average FROM
      (SELECT a.id, a.category, max(b.price) AS final FROM ${joinedInTime} GROUP BY a.id, a.category)
      GROUP BY category`,
    key: ['category'],
  },
  q5: {
    sql: `WITH counted AS (
        SELECT auction, dateTime - dateTime % 2000 - k * 2000 + 10000 AS windowEnd, count(*) AS bids
        FROM bid CROSS JOIN range(5) AS steps(k) GROUP BY ALL)
      SELECT auction, windowEnd, bids FROM counted
      QUALIFY bids >= max(bids) OVER (PARTITION BY windowEnd)`,
  },
  q7: {
    sql: `SELECT b.auction, b.price, b.bidder, b.dateTime, b.extra FROM bid b JOIN
      (SELECT max(price) AS highest, dateTime - dateTime % 10000 + 10000 AS windowEnd FROM bid GROUP BY windowEnd) w
      ON b.price = w.highest AND b.dateTime BETWEEN w.windowEnd - 10000 AND w.windowEnd`,
  },
  q8: {
    sql: `SELECT DISTINCT p.id, p.name, p.dateTime - p.dateTime % 10000 AS windowStart
      FROM person p JOIN auction a ON p.id = a.seller AND p.dateTime // 10000 = a.dateTime // 10000`,
  },
  q9: {
    sql: `SELECT a.id, a.itemName, a.description, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller, a.category,
        a.extra, b.auction, b.bidder, b.price, b.dateTime AS bidDateTime, b.extra AS bidExtra FROM ${joinedInTime}
      QUALIFY row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.dateTime, b.n) = 1`,
    key: ['id'],
  },
  q10: {
    sql: `SELECT auction, bidder, price, dateTime, extra, ${day('dateTime')} AS dt, ${minute('dateTime')} AS hm FROM bid`,
  },
  q11: {
    sql: `WITH begun AS (SELECT bidder, dateTime, CASE WHEN dateTime - lag(dateTime) OVER one <= 10000 THEN 0 ELSE 1 END
        AS begins FROM bid WINDOW one AS (PARTITION BY bidder ORDER BY dateTime, n)),
      numbered AS (SELECT bidder, dateTime, sum(begins) OVER
        (PARTITION BY bidder ORDER BY dateTime ROWS UNBOUNDED PRECEDING) AS session FROM begun)
      SELECT bidder, count(*) AS bids, min(dateTime) AS windowStart, max(dateTime) + 10000 AS windowEnd
      FROM numbered GROUP BY bidder, session`,
  },
  q13: { sql: 'SELECT auction, bidder, price, dateTime, (auction % 10000)::VARCHAR AS value FROM bid' },
  q14: {
    sql: `SELECT auction, bidder, (price * 908) / 1000 AS price,
        CASE WHEN hour(make_timestamp(dateTime * 1000)) BETWEEN 8 AND 18 THEN 'dayTime'
          WHEN hour(make_timestamp(dateTime * 1000)) <= 6 OR hour(make_timestamp(dateTime * 1000)) >= 20
          THEN 'nightTime' ELSE 'otherTime' END AS timeOfDay,
        dateTime, extra, length(extra) - length(replace(extra, 'c', '')) AS cCount
      FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000`,
  },
  q15: { sql: `SELECT ${day('dateTime')} AS day, ${bidCounts}, ${distinctCounts} FROM bid GROUP BY day`, key: ['day'] },
  q16: {
    sql: `SELECT channel, ${day('dateTime')} AS day, max(${minute('dateTime')}) AS minute, ${bidCounts}, ${distinctCounts}
      FROM bid GROUP BY channel, day`,
    key: ['channel', 'day'],
  },
  q17: {
    sql: `SELECT auction, ${day('dateTime')} AS day, ${bidCounts}, min(price) AS minPrice, max(price) AS maxPrice,
      avg(price) AS avgPrice, sum(price)::BIGINT AS sumPrice FROM bid GROUP BY auction, day`,
    key: ['auction', 'day'],
  },
  q18: {
    sql: `SELECT * EXCLUDE (n) FROM bid
      QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC, n DESC) = 1`,
    key: ['bidder', 'auction'],
  },
  q19: {
    sql: `SELECT * EXCLUDE (n), row_number() OVER (PARTITION BY auction ORDER BY price DESC, dateTime, bidder, extra) AS rank FROM bid
      QUALIFY rank <= 10`,
    key: ['auction', 'rank'],
  },
  q20: {
    sql: `SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime AS bidDateTime, b.extra AS bidExtra,
        a.itemName, a.description, a.initialBid, a.reserve, a.dateTime AS auctionDateTime, a.expires, a.seller,
        a.category, a.extra AS auctionExtra
      FROM bid b JOIN auction a ON b.auction = a.id WHERE a.category = 10`,
  },
  q21: {
    sql: `SELECT * FROM (SELECT auction, bidder, price, channel, CASE lower(channel) WHEN 'apple' THEN '0'
        WHEN 'google' THEN '1' WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
        ELSE nullif(regexp_extract(url, '(&|^)channel_id=([^&]*)', 2), '') END AS channelId FROM bid)
      WHERE channelId IS NOT NULL`,
  },
  q22: {
    sql: `SELECT auction, bidder, price, channel, split_part(url, '/', 4) AS dir1, split_part(url, '/', 5) AS dir2,
      split_part(url, '/', 6) AS dir3 FROM bid`,
  },
};
