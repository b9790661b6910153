package io.kvcache.internal.engine;

import io.kvcache.internal.engine.Source.Fetched;
import io.kvcache.spi.Deadline;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Predicate;

/**
 * The parts one lease reads from tiers that are not memory: several in flight, some kept while their group's
 * layers are read. At the end of a pass over the chunks the first ones of the next group are begun, so that the medium
 * is busy while the engine computes; those count as kept. A load nobody waits for any more gives its buffer back at
 * once, or when its I/O has ended if that has begun. One thread at a time.
 */
final class PartLoads {
  private static final int IN_FLIGHT = 4;

  private final Resources shared;
  private final List<Source> sources;
  private final Deadline deadline;
  private final Map<Place, Load> loads = new HashMap<>();
  /** The first chunk that is not in memory, and the end of the last one. */
  private final int first;
  private final int end;
  private int part;

  PartLoads(Resources shared, List<Source> sources, Deadline deadline) {
    this.shared = shared;
    this.sources = sources;
    this.deadline = deadline;
    int lowest = 0;
    int highest = sources.size();
    while (lowest < highest && sources.get(lowest).inPlace()) {
      lowest++;
    }
    while (highest > lowest && sources.get(highest - 1).inPlace()) {
      highest--;
    }
    first = lowest;
    end = highest;
  }

  /** A part of a chunk. */
  private record Place(int part, int chunk) {}

  /** One part being read, or waiting for a thread; {@code begun} says whose the buffer is if nobody wants it. */
  private record Load(Staging.Buffer buffer, AtomicBoolean begun, CompletableFuture<Fetched> result) {
    void discard() {
      if (begun.compareAndSet(false, true)) {
        buffer.close();
      } else {
        result.whenComplete((fetched, failure) -> buffer.close());
      }
    }
  }

  /** Turns to a part, of which chunks from {@code from} up to {@code to} will be wanted in order. */
  void turnTo(int number, int from, int to) {
    if (part != number) {
      part = number;
      discardIf(place -> place.part != number);
    }
    readAhead(from, to);
  }

  /** Starts loads so that {@value #IN_FLIGHT} are under way from {@code from} on, as buffers allow. */
  private void readAhead(int from, int to) {
    for (int chunk = from; chunk < Math.min(from + IN_FLIGHT, to); chunk++) {
      Place place = new Place(part, chunk);
      if (!sources.get(chunk).inPlace() && !loads.containsKey(place)) {
        // The first is wanted now, and worth waiting for: whoever waits holds no more than what it may
        // retain.
        Staging.Buffer buffer =
            shared.staging.take(chunk == from ? deadline : Deadline.after(0, () -> 0));
        if (buffer == null) {
          return;
        }
        start(place, buffer);
      }
    }
  }

  /** Starts the first loads of the part behind this one; their buffers are held while nobody waits for them. */
  private void readAheadOfNext() {
    for (int chunk = first; chunk < Math.min(first + IN_FLIGHT, end); chunk++) {
      Place place = new Place(part + 1, chunk);
      if (!sources.get(chunk).inPlace() && !loads.containsKey(place)) {
        Staging.Buffer buffer = shared.staging.take(Deadline.after(0, () -> 0));
        if (buffer == null) {
          return;
        }
        if (!buffer.retain()) {
          buffer.close();
          return;
        }
        start(place, buffer);
      }
    }
  }

  private void start(Place place, Staging.Buffer buffer) {
    Source source = sources.get(place.chunk);
    AtomicBoolean begun = new AtomicBoolean();
    CompletableFuture<Fetched> result;
    try {
      result = CompletableFuture.supplyAsync(() -> begun.compareAndSet(false, true)
          ? source.fetch(place.part, buffer, deadline)
          : Fetched.failed(Source.Problem.UNREADABLE), shared.runtime.io());
    } catch (RejectedExecutionException closing) {
      result = CompletableFuture.completedFuture(Fetched.failed(Source.Problem.UNREADABLE));
    }
    loads.put(place, new Load(buffer, begun, result));
  }

  /** Waits for the part of one chunk, having started those behind it. */
  Fetched await(int chunk, int to) {
    readAhead(chunk, to);
    Load load = loads.get(new Place(part, chunk));
    if (load == null) {
      return Fetched.failed(Source.Problem.UNREADABLE);
    }
    try {
      long nanos = load.result.isDone() ? 0 : deadline.remainingNanos();
      return load.result.get(Math.max(0, nanos), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Fetched.failed(Source.Problem.UNREADABLE);
    } catch (TimeoutException | ExecutionException | CancellationException e) {
      return Fetched.failed(Source.Problem.UNREADABLE);
    }
  }

  /** Says that a chunk's part was used; kept for the next layer when {@code again} and buffers allow. */
  void used(int chunk, boolean again) {
    Load load = loads.get(new Place(part, chunk));
    if (load != null && !(again && load.buffer.retain())) {
      loads.remove(new Place(part, chunk));
      load.discard();
    }
  }

  /**
   * Ends a pass over the chunks: what is not kept for the next layer is given back.
   *
   * @param again whether the next layer is in the same part
   * @param more whether there is a part behind it that will be wanted when the pass was over the last chunk
   */
  void passOver(boolean again, boolean more, int to) {
    discardIf(place -> place.part == part && !(again && loads.get(place).buffer.retain()));
    if (more && !again && to >= end) {
      readAheadOfNext();
    }
  }

  void discardAll() {
    discardIf(place -> true);
  }

  private void discardIf(Predicate<Place> unwanted) {
    for (Iterator<Map.Entry<Place, Load>> each = loads.entrySet().iterator(); each.hasNext();) {
      Map.Entry<Place, Load> entry = each.next();
      if (unwanted.test(entry.getKey())) {
        each.remove();
        entry.getValue().discard();
      }
    }
  }
}
