/**
 * Flight routes with the names of their cities and their length: a stream enriched with a small table that is read first.
 * The data is that of the npm package `vega-datasets`.
 *
 *     npx millrace run examples/routes.ts -- --least-flights 1000
 */
import { defineJob, params } from 'millrace';
import { files } from 'millrace/files';

interface Airport {
  iata: string;
  city: string;
  state: string;
  latitude: number;
  longitude: number;
}

interface Route {
  origin: string;
  destination: string;
  count: number;
}

const data = 'node_modules/vega-datasets/data';

export default defineJob('routes', (env) => {
  const { airports, routes, output, leastFlights } = env.params({
    airports: params.string({ default: `${data}/airports.csv`, description: 'CSV file of airports' }),
    routes: params.string({ default: `${data}/flights-airport.csv`, description: 'CSV file of routes' }),
    output: params.string({ default: 'out/routes', description: 'directory of the results' }),
    leastFlights: params.integer({ default: 0, description: 'routes with fewer flights are left out' }),
  });

  const side = env.from(files.csv<Airport>(airports, { columns: { latitude: 'number', longitude: 'number' } }), {
    uid: 'airports',
    parallelism: 1,
  });

  env
    .from(files.csv<Route>(routes, { columns: { count: 'number' } }), { uid: 'routes' })
    .filter((route) => route.count >= leastFlights)
    .uid('busy')
    .broadcastInput(side, (rows) => new Map(rows.map((row) => [row.iata, row])))
    .flatMap((route, byCode) => {
      const from = byCode.get(route.origin);
      const to = byCode.get(route.destination);
      if (from === undefined || to === undefined) return [];
      return [
        { from: placeOf(from), to: placeOf(to), flights: route.count, kilometers: Math.round(distanceKm(from, to)) },
      ];
    })
    .uid('enriched')
    .to(files.jsonl(output))
    .uid('results');
});

function placeOf({ city, state, iata }: Airport): string {
  return `${city}, ${state} (${iata})`;
}

/** Great-circle distance (haversine formula) on a sphere of 6371 km. */
function distanceKm(from: Airport, to: Airport): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const halfLatitude = Math.sin(radians(to.latitude - from.latitude) / 2);
  const halfLongitude = Math.sin(radians(to.longitude - from.longitude) / 2);
  const a = halfLatitude ** 2 + Math.cos(radians(from.latitude)) * Math.cos(radians(to.latitude)) * halfLongitude ** 2;
  return 2 * 6371 * Math.asin(Math.sqrt(a));
}
