// Buys a seat and reads two refusals, with the client that openapi-ts makes.

import assert from "node:assert/strict";

import * as api from "./booking";
import { client } from "./booking/client.gen";

const account = { username: "typescript_client", password: "correct horse battery" };

// What was answered, of a call that has to go well.
async function done<T>(call: Promise<{ data?: T; error?: unknown }>): Promise<T> {
  const { data, error } = await call;
  assert(data !== undefined, JSON.stringify(error));
  return data;
}

// The problem, of a call that has to be refused.
async function refused(call: Promise<{ error?: api.Problem }>): Promise<api.Problem> {
  const { error } = await call;
  assert(error !== undefined, "was not refused");
  return error;
}

async function sell(): Promise<void> {
  await done(api.signUp({ body: account }));
  const tokens = await done(api.logIn({ body: account }));
  client.setConfig({ auth: tokens.access });

  const first = await done(api.listShows({ query: { page: 1, page_size: 5 } }));
  const second = await api.listShows({ query: { page: 2, page_size: 5 } });
  assert(second.data);
  const shows = [...first, ...second.data];
  assert.equal(new Set(shows.map((show) => show.id)).size, 10);
  const pagination = second.response?.headers.get("X-Pagination");
  assert(pagination && JSON.parse(pagination).total >= 10);
  const path = { show_id: shows[9].id };

  const map = await done(api.getShowSeats({ path }));
  const seats = map.rows.flatMap((row) => row.seats);
  const seat = seats.find((one) => one?.status === "available" && one.kind === "standard");
  assert(seat);
  const picture = await done(api.drawShowSeats({ path }));
  assert((await picture.text()).startsWith("<svg"));

  const body = { seat_numbers: [seat.seat_number] };
  const headers = { "Idempotency-Key": "typescript-1" };
  const held = await done(api.holdSeats({ path, body, headers }));
  assert.equal(held.status, "held");
  assert.equal(held.seat_number, seat.seat_number);
  assert(held.expires_at);
  const booking = { booking_id: held.id };
  const booked = await done(api.confirmBooking({ path: booking }));
  assert.equal(booked.status, "booked");

  const taken = await refused(api.bookSeats({ path, body }));
  assert.equal(taken.status, 409);
  assert.equal(taken.code, "seat_taken");
  assert.deepEqual(taken.seats, [seat.seat_number]);
  const wrong = await refused(api.bookSeats({ path, body: { seat_numbers: [seat.seat_number, ""] } }));
  assert.equal(wrong.status, 422);
  assert.equal(wrong.code, "validation_failed");
  assert.deepEqual(wrong.errors?.map((error) => error.pointer), ["/seat_numbers/1"]);

  const cancelled = await done(api.cancelBooking({ path: booking, body: {} }));
  assert.equal(cancelled.status, "cancelled");
}

client.setConfig({ baseUrl: process.argv[2] });
sell().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
