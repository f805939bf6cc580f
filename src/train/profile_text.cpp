#include "train/profile_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "base/table.h"
#include "train/runtime.h"

namespace morex::train {
namespace {

constexpr double kSmallestShare = 0.001;
constexpr size_t kMostRows = 40;

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }
const char* pass_name(bool backward) { return backward ? "backward" : "forward"; }

class Tables {
 public:
  explicit Tables(const Profile& profile) : profile_(profile) {}

  std::string operations() const {
    Table table({"operation", "pass", "calls", "ms", "share", "in products", "GFLOP", "GF/s", "of peak"});
    const size_t shown = rows_shown(profile_.operations);
    for (size_t i = 0; i < shown; ++i) {
      const OperationRow& row = profile_.operations[i];
      std::vector<std::string> cells = {row.name,         pass_name(row.backward), calls(row.spent),
                                        ms(row.spent.ms), share(row.spent.ms),     some_ms(row.spent.products_ms)};
      append_rate(cells, row.spent);
      table.add(cells);
    }
    if (shown < profile_.operations.size()) {
      const double rest = together(profile_.operations, shown).ms;
      table.add({others(profile_.operations, shown), "", "", ms(rest), share(rest), "", "", "", ""});
    }
    table.add({"unaccounted", "", "", ms(profile_.unaccounted_ms), share(profile_.unaccounted_ms), "", "", "", ""});
    std::vector<std::string> sum = {
        "sum", "", "", ms(profile_.all.ms), share(profile_.all.ms), ms(profile_.products.ms)};
    append_rate(sum, profile_.all);
    table.add(sum);
    return table.text();
  }

  std::string products() const {
    Table table({"product", "inside", "dtype", "m", "n", "k", "calls", "ms", "share", "GF/s", "of peak"});
    const size_t shown = rows_shown(profile_.products_by_shape);
    for (size_t i = 0; i < shown; ++i) {
      const ProductRow& row = profile_.products_by_shape[i];
      const auto& [batch, m, n, k] = row.shape;
      table.add({row.name, row.inside, dtype_name(row.dtype), batch > 1 ? fmt::format("{}x{}", batch, m) : number(m),
                 number(n), number(k), calls(row.spent), ms(row.spent.ms), share(row.spent.ms), rate(row.spent),
                 percent(row.spent.peak_share())});
    }
    if (shown < profile_.products_by_shape.size()) {
      const Spent rest = together(profile_.products_by_shape, shown);
      table.add({others(profile_.products_by_shape, shown), "", "", "", "", "", calls(rest), ms(rest.ms),
                 share(rest.ms), rate(rest), percent(rest.peak_share())});
    }
    table.add({"sum", "", "", "", "", "", calls(profile_.products), ms(profile_.products.ms),
               share(profile_.products.ms), rate(profile_.products), percent(profile_.products.peak_share())});
    return table.text();
  }

  std::string layers() const {
    Table table({"layer", "forward ms", "backward ms", "share", "in products", "GF/s", "of peak"});
    const auto add = [&](const std::string& name, const LayerRow& row) {
      table.add({name, ms(row.forward.ms), ms(row.backward.ms), share(row.all.ms), some_ms(row.all.products_ms),
                 rate(row.all), peak_share(row.all)});
    };
    for (const LayerRow& row : profile_.layers)
      if (row.layer >= 0) add(number(row.layer), row);
    for (const LayerRow& row : profile_.layers)
      if (row.layer < 0) add("outside", row);
    return table.text();
  }

  std::string parts() const {
    Table table({"part of the model", "base forward ms", "backward ms", "adapter forward ms", "backward ms", "share",
                 "in products", "of peak"});
    for (const PartRow& row : profile_.parts)
      table.add({row.name, some_ms(row.forward.ms), some_ms(row.backward.ms), some_ms(row.adapter_forward.ms),
                 some_ms(row.adapter_backward.ms), share(row.all.ms), some_ms(row.all.products_ms),
                 peak_share(row.all)});
    return table.text();
  }

  std::string library_calls() const {
    Table table({"call", "pass", "calls", "ms", "share"});
    const size_t shown = rows_shown(profile_.library_calls);
    for (size_t i = 0; i < shown; ++i) {
      const OperationRow& row = profile_.library_calls[i];
      table.add({row.name, pass_name(row.backward), calls(row.spent), ms(row.spent.ms), share(row.spent.ms)});
    }
    if (shown < profile_.library_calls.size()) {
      const Spent rest = together(profile_.library_calls, shown);
      table.add({others(profile_.library_calls, shown), "", calls(rest), ms(rest.ms), share(rest.ms)});
    }
    return table.text();
  }

 private:
  template <typename Row>
  size_t rows_shown(const std::vector<Row>& rows) const {
    const auto small = std::find_if(rows.begin(), rows.end(),
                                    [&](const Row& row) { return row.spent.ms < kSmallestShare * profile_.all.ms; });
    return std::min(kMostRows, static_cast<size_t>(small - rows.begin()));
  }

  // What the rows behind the first `shown` have spent, and how they are called.
  template <typename Row>
  static Spent together(const std::vector<Row>& rows, size_t shown) {
    Spent sum;
    for (size_t i = shown; i < rows.size(); ++i) {
      const Spent& spent = rows[i].spent;
      sum.calls += spent.calls, sum.ms += spent.ms, sum.gflop += spent.gflop, sum.ideal_ms += spent.ideal_ms;
    }
    return sum;
  }
  template <typename Row>
  static std::string others(const std::vector<Row>& rows, size_t shown) {
    return fmt::format("{} others", rows.size() - shown);
  }

  static std::string number(int64_t value) { return fmt::format("{}", value); }
  static std::string ms(double value) { return fmt::format("{:.2f}", value); }
  static std::string some_ms(double value) { return value > 0 ? ms(value) : ""; }
  static std::string calls(const Spent& spent) { return fmt::format("{:.0f}", spent.calls); }
  static std::string rate(const Spent& spent) { return spent.gflop > 0 ? fmt::format("{:.0f}", spent.rate()) : ""; }
  static std::string peak_share(const Spent& spent) { return spent.gflop > 0 ? percent(spent.peak_share()) : ""; }
  std::string share(double value) const { return percent(value / profile_.all.ms); }
  static void append_rate(std::vector<std::string>& cells, const Spent& spent) {
    cells.insert(cells.end(),
                 {spent.gflop > 0 ? fmt::format("{:.2f}", spent.gflop) : "", rate(spent), peak_share(spent)});
  }

  const Profile& profile_;
};

}  // namespace

std::string profile_text(const Profile& profile, const PeakRates& peaks, const ProfiledRun& run) {
  std::vector<std::string> rates;
  for (const auto& [dtype, rate] : peaks) rates.push_back(fmt::format("{} {:.0f}", dtype_name(dtype), rate / 1e9));
  const std::string which = run.first_step == run.last_step
                                ? fmt::format("step {}", run.first_step)
                                : fmt::format("the mean of steps {} to {}", run.first_step, run.last_step);
  const Tables tables(profile);
  std::string text = fmt::format("Profile: {}, {} thread{}, {:.1f} ms a step, all times per step\n", which, run.threads,
                                 run.threads == 1 ? "" : "s", profile.all.ms);
  text += fmt::format(
      "Matrix products take {} of the time, at {:.0f} GF/s, {} of the peak; the whole step reaches {} of it.\n",
      percent(profile.products.ms / profile.all.ms), profile.products.rate(), percent(profile.products.peak_share()),
      percent(profile.all.peak_share()));
  text += fmt::format("Peak, measured on large products in this run, GF/s: {}\n", join(rates, ", "));
  text += "\nBy operation (products and calls of the library count for the operation they are part of)\n\n" +
          tables.operations();
  text += "\nMatrix products by shape\n\n" + tables.products();
  text += "\nBy part of the model\n\n" + tables.parts();
  text += "\nBy layer\n\n" + tables.layers();
  text += "\nCalls of the library, wherever they stand\n\n" + tables.library_calls();
  return text;
}

}  // namespace morex::train
