package io.kvcache.bench.limits;

import java.io.IOException;
import java.util.List;

/** Probes that share memory, a file or a tier, which closing the group releases. */
interface ProbeGroup extends AutoCloseable {
  /** The probes, to be run in this order. */
  List<Probe> probes();

  @Override
  void close() throws IOException;

  /** Opens a group; this may take a while, as when a file is filled. */
  interface Opener {
    ProbeGroup open() throws IOException;
  }
}
