package io.kvcache.internal.engine;

import io.kvcache.internal.engine.Source.Fetched;
import io.kvcache.internal.tree.Position;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** The parts of a source, one at a time. */
final class PartReader implements AutoCloseable {
  private static final int NONE = -1;

  private final Resources shared;
  private final Staging staging;
  private final Position position;
  private final Source source;
  private int number = NONE;
  private MemorySegment segment;
  private Fetched fetched;

  /** For the mover. */
  PartReader(Resources shared, Position position, Source source) {
    this(shared, shared.moverStaging, position, source);
  }

  /** Reads by way of one buffer of {@code staging} at a time. */
  PartReader(Resources shared, Staging staging, Position position, Source source) {
    this.shared = shared;
    this.staging = staging;
    this.position = position;
    this.source = source;
  }

  /** Gets a part; false when it cannot be had. */
  boolean read(int part) throws MalformedDataException {
    if (number == part) {
      return true;
    }
    giveBack();
    if (source.inPlace()) {
      segment = source.part(part);
      if (segment == null) {
        shared.expired(position, source.id(), source.stored());
        return false;
      }
    } else {
      Staging.Buffer buffer = staging.take(Deadline.never());
      if (buffer == null) {
        return false;
      }
      fetched = source.fetch(part, buffer, Deadline.never());
      if (fetched.malformed() != null) {
        throw fetched.malformed();
      }
      if (fetched.problem() == Source.Problem.MISSING) {
        shared.missing(position, source.id(), source.stored());
      } else if (fetched.problem() == Source.Problem.EXPIRED) {
        shared.expired(position, source.id(), source.stored());
      }
      if (fetched.problem() != null) {
        return false;
      }
      segment = fetched.buffer().segment();
    }
    number = part;
    return true;
  }

  MemorySegment segment() {
    return segment;
  }

  /** Gives the buffer back; the next {@link #read} gets one again. */
  void giveBack() {
    number = NONE;
    if (fetched != null) {
      fetched.close();
      fetched = null;
    }
  }

  @Override
  public void close() {
    giveBack();
  }
}
