package io.kvcache.bench.limits;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What this process had devices read and write, by the kernel's count: what the page cache served is not in it.
 *
 * @param read bytes
 * @param written bytes
 */
record DeviceBytes(long read, long written) {
  private static final Path COUNTS = Path.of("/proc/self/io");

  /** The counts so far; zeros where the system does not tell. */
  static DeviceBytes now() throws IOException {
    if (!Files.isReadable(COUNTS)) {
      return new DeviceBytes(0, 0);
    }
    List<String> lines = Files.readAllLines(COUNTS);
    return new DeviceBytes(count(lines, "read_bytes: "), count(lines, "write_bytes: "));
  }

  /** What was added since. */
  DeviceBytes since(DeviceBytes before) {
    return new DeviceBytes(read - before.read, written - before.written);
  }

  private static long count(List<String> lines, String name) {
    return lines.stream().filter(line -> line.startsWith(name))
        .mapToLong(line -> Long.parseLong(line.substring(name.length()))).findFirst().orElse(0);
  }
}
