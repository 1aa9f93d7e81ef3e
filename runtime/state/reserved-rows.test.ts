import { expect, test } from 'vitest';
import { ReservedRows } from './reserved-rows.ts';

test('a value that cannot be stored is refused with operator, state and the place in the value', () => {
  const rows = new ReservedRows('readings');
  expect(() => rows.put('splits', 0, { position: 3, generator: [() => 1] })).toThrow(
    expect.objectContaining({
      code: 'VALUE_NOT_ENCODABLE',
      ids: { operator: 'readings', state: 'splits' },
      message: expect.stringMatching(/^state 'splits' of operator 'readings': .*\$\.generator\[0\] is a function/),
    }),
  );
});
