package io.kvcache.engine;

import io.kvcache.Encoding;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.testkit.ForwardingPolicy;
import java.util.List;

/** A policy that wants to know the quality of some encodings, and otherwise does what another does. */
final class Wanting extends ForwardingPolicy {
  private final List<Encoding> candidates;

  Wanting(PlacementPolicy inner, Encoding... candidates) {
    super(inner);
    this.candidates = List.of(candidates);
  }

  @Override
  public List<Encoding> candidates() {
    return candidates;
  }
}
