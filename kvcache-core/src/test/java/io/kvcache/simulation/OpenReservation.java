package io.kvcache.simulation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.simulation.Workload.Prompt;
import io.kvcache.testkit.KvPayloads;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;

/** A reservation being filled, layer by layer. */
final class OpenReservation {
  private final KvLayout layout;
  private final Prompt prompt;
  private final KvReservation reservation;
  private final long reservedMillis;
  private final long expiryMillis;
  private int written;
  private boolean removed;

  /**
   * A reservation.
   *
   * @param reservedMillis when it was made, by the wall clock
   * @param timeToLive what it stores; zero for ever
   */
  OpenReservation(KvLayout layout, Prompt prompt, KvReservation reservation, long reservedMillis,
      Duration timeToLive, String at) {
    this.reservedMillis = reservedMillis;
    this.expiryMillis = timeToLive.isZero() ? Model.NEVER : reservedMillis + timeToLive.toMillis();
    this.layout = layout;
    this.prompt = prompt;
    this.reservation = reservation;
    boolean reserved = reservation.status() == Status.RESERVED;
    assertEquals(reserved, reservation.tokens() > 0, at);
    assertTrue(reservation.firstToken() + reservation.tokens() <= prompt.tokens().length(), at);
  }

  Prompt prompt() {
    return prompt;
  }

  KvReservation reservation() {
    return reservation;
  }

  long reservedMillis() {
    return reservedMillis;
  }

  /** When what it stores expires. */
  long expiryMillis() {
    return expiryMillis;
  }

  /** The chunks reserved. */
  List<ChunkKey> keys() {
    int first = reservation.firstToken() / layout.chunkTokens();
    return prompt.keys().subList(first, first + reservation.tokens() / layout.chunkTokens());
  }

  /** Notes that a context was removed: nothing that continues it may be committed any more. */
  void removed(List<ChunkKey> context) {
    int last = reservation.firstToken() / layout.chunkTokens() + keys().size();
    removed |= context.size() <= last && prompt.keys().subList(0, context.size()).equals(context);
  }

  /** Notes that a namespace was cleared. */
  void cleared(Namespace namespace) {
    removed |= prompt.namespace().equals(namespace);
  }

  /** Whether the chunks reserved were removed before they were committed. */
  boolean removed() {
    return removed;
  }

  boolean complete() {
    return written == layout.layers().size();
  }

  void writeNext() {
    int layer = written++;
    try (Arena arena = Arena.ofConfined()) {
      reservation.write(layer, half(arena, layer, KvHalf.KEYS), half(arena, layer, KvHalf.VALUES));
    }
  }

  private MemorySegment half(Arena arena, int layer, KvHalf half) {
    long chunkBytes = (long) layout.chunkTokens() * layout.layer(layer).rowBytes(half);
    List<ChunkKey> keys = keys();
    MemorySegment rows = arena.allocate(chunkBytes * keys.size());
    for (int chunk = 0; chunk < keys.size(); chunk++) {
      KvPayloads.fill(rows.asSlice(chunk * chunkBytes, chunkBytes), keys.get(chunk), layer, half);
    }
    return rows;
  }
}
