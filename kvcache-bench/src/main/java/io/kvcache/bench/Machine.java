package io.kvcache.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** What this machine has. */
public final class Machine {
  private static final Path PROCESSORS = Path.of("/proc/cpuinfo");

  private Machine() {}

  /** Memory of this machine or container, in bytes. */
  public static long memoryBytes() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
  }

  /** Processors, memory, system, Java and its options, as a report states them. */
  public static String description() {
    return "%d × %s, %d GiB, %s %s; Java %s %s".formatted(Runtime.getRuntime().availableProcessors(),
        processor(), Math.round(memoryBytes() / (double) (1 << 30)), System.getProperty("os.name"),
        System.getProperty("os.version"), Runtime.version(),
        String.join(" ", ManagementFactory.getRuntimeMXBean().getInputArguments())).strip();
  }

  /** The processor's name where the system tells it, else its architecture. */
  private static String processor() {
    try (Stream<String> lines = Files.lines(PROCESSORS)) {
      return lines.filter(line -> line.startsWith("model name")).findFirst()
          .map(line -> line.substring(line.indexOf(':') + 1).strip()).orElse(System.getProperty("os.arch"));
    } catch (IOException e) {
      return System.getProperty("os.arch");
    }
  }
}
