package io.kvcache.bench.limits;

import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;

/** Probes that share memory, a file or a tier, which closing the group releases. */
interface ProbeGroup extends AutoCloseable {
  /** The probes, to be run in this order. */
  List<Probe> probes();

  @Override
  void close() throws IOException;

  /** This group's probes and then those of {@code next}, as one group that closes both. */
  default ProbeGroup and(Opener next) throws IOException {
    ProbeGroup first = this;
    ProbeGroup second;
    try {
      second = next.open();
    } catch (IOException | RuntimeException e) {
      first.close();
      throw e;
    }
    return new ProbeGroup() {
      @Override
      public List<Probe> probes() {
        return Stream.concat(first.probes().stream(), second.probes().stream()).toList();
      }

      @Override
      public void close() throws IOException {
        try (first) {
          second.close();
        }
      }
    };
  }

  /** Opens a group; this may take a while, as when a file is filled. */
  interface Opener {
    ProbeGroup open() throws IOException;
  }
}
