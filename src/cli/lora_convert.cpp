#include "cli/lora_convert.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <regex>
#include <set>

#include "base/files.h"
#include "base/progress.h"
#include "cli/fit_data.h"
#include "cli/output.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

// Fewer tokens than so many for each input of a projection say little about it.
constexpr int64_t kTokensPerInput = 4;

OrderedJson module_report(const adapters::ConvertedModule& module) {
  OrderedJson report = {{"module", module.module}, {"rank", module.rank()}, {"exact", module.exact}};
  if (module.exact) return report;
  report["relative_error"] = module.error.relative();
  report["linear_relative_error"] =
      adapters::OutputError{module.module, module.error.energy, module.linear_lost}.relative();
  return report;
}

OrderedJson error_list(const std::vector<adapters::OutputError>& errors) {
  OrderedJson list = OrderedJson::object();
  for (const adapters::OutputError& error : errors) list[error.module] = error.relative();
  return list;
}

void warn_of_few_tokens(const adapters::Conversion& made, Warnings& warnings) {
  int64_t widest = 0;
  for (const adapters::ConvertedModule& module : made.modules)
    if (!module.exact) widest = std::max(widest, module.d_in);
  if (widest > 0 && made.tokens < kTokensPerInput * widest)
    warnings.add("convert.few_tokens",
                 fmt::format("[fit] {} tokens are few for projections with {} inputs: the error on them says little of "
                             "other data. Hint: more rows, and --loss with rows that are not among them",
                             made.tokens, widest));
}

// Scores of base, adapter and LoRA, in the same form each.
OrderedJson compare(const LoraConvert& convert, adapters::AdapterSet& lora, const std::function<OrderedJson()>& score) {
  models::CausalLm& model = *convert.loaded.model;
  OrderedJson scores;
  const OrderedJson mixture = score();
  convert.set.detach();
  model.set_prompt_reader(nullptr);
  scores["base"] = score();
  scores["adapter"] = mixture;
  lora.attach();
  scores["lora"] = score();
  lora.detach();
  convert.set.attach();
  model.set_prompt_reader(convert.loaded.prompts.get());
  return scores;
}

OrderedJson compare_losses(const LoraConvert& convert, adapters::AdapterSet& lora,
                           const std::vector<data::Example>& rows) {
  const OrderedJson each = compare(convert, lora, [&] {
    return score_loss(rows, convert.batch_size, *convert.loaded.model, *convert.loaded.tokenizer, convert.quiet);
  });
  OrderedJson losses = {{"n", rows.size()}, {"tokens", each["base"]["tokens"]}};
  for (const auto& [name, loss] : each.items()) losses[name] = loss["loss"];
  return losses;
}

OrderedJson compare_tasks(const LoraConvert& convert, adapters::AdapterSet& lora) {
  const OrderedJson each = compare(convert, lora, [&] {
    return score_tasks(convert.scores, *convert.loaded.model, *convert.loaded.tokenizer, "", convert.warnings,
                       convert.quiet);
  });
  OrderedJson tasks = {{"protocol", each["base"]["protocol"]}, {"version", each["base"]["version"]}};
  for (const auto& [name, scores] : each.items())
    for (const auto& [task, values] : scores["tasks"].items()) tasks["scores"][task][name] = values;
  return tasks;
}

// Modules that differ only in the layer's number make one row. The projections of a block that was fitted as a whole
// have their ranks, the block has its error.
void print_modules(const OrderedJson& report) {
  struct Row {
    std::string module;
    std::set<int64_t> ranks;
    std::vector<double> errors;
    int64_t count = 0, exact = 0;
  };
  static const std::regex kLayerNumber(R"(\.\d+\.)");
  std::vector<Row> rows;
  const auto row_of = [&rows](const std::string& module) -> Row& {
    const std::string name = std::regex_replace(module, kLayerNumber, ".*.");
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.module == name; });
    return found != rows.end() ? *found : rows.emplace_back(Row{name, {}, {}, 0, 0});
  };
  for (const OrderedJson& module : report["modules"]) {
    Row& row = row_of(module["module"]);
    ++row.count;
    row.exact += module["exact"].get<bool>() ? 1 : 0;
    row.ranks.insert(module["rank"].get<int64_t>());
  }
  const OrderedJson errors = report.value("errors", OrderedJson::object());
  for (const auto& [module, error] : errors.items()) row_of(module).errors.push_back(error);
  const auto range = [](const auto& values, const char* form) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    if (low == values.end()) return std::string();
    const std::string first = fmt::format(fmt::runtime(form), *low), last = fmt::format(fmt::runtime(form), *high);
    return first == last ? first : first + "–" + last;
  };
  Table table({"module", "sites", "rank", "relative error"});
  for (const Row& row : rows)
    table.add({row.module, std::to_string(row.count > 0 ? row.count : static_cast<int64_t>(row.errors.size())),
               range(row.ranks, "{}"),
               row.count > 0 && row.exact == row.count ? "exact" : range(row.errors, "{:.3f}")});
  fmt::print("{}", table.text());
}

}  // namespace

OrderedJson convert_to_folder(const LoraConvert& convert, const std::vector<data::Example>& fit,
                              const std::vector<data::Example>& held_out, const fs::path& folder) {
  models::CausalLm& model = *convert.loaded.model;
  const auto stream_of = [&](const std::vector<data::Example>& rows, const char* name) {
    const int64_t pad = convert.loaded.tokenizer ? convert.loaded.tokenizer->pad_id().value_or(0) : 0;
    const auto data = std::make_shared<FitData>(model, rows, convert.batch_size, pad);
    const auto count = static_cast<int64_t>(rows.size());
    return [data, name, count, quiet = convert.quiet] {
      Progress progress(name, count, quiet);
      data->run([&progress](int64_t done, int64_t) { progress.update(done); });
      progress.finish();
    };
  };
  const adapters::Conversion made = adapters::convert_to_lora(convert.set, convert.options, stream_of(fit, "fit"));
  warn_of_few_tokens(made, convert.warnings);
  const auto lora = adapters::make_lora(made, convert.loaded.model->slots(), convert.set.parameters().dtype(),
                                        model.device(), convert.warnings);
  lora->save(folder, convert.base);

  OrderedJson report = {{"parameters", lora->parameters().parameter_count()},
                        {"exact", made.errors.empty()},
                        {"rows", fit.size()},
                        {"tokens", made.tokens}};
  if (!made.errors.empty()) {
    report["relative_error"] = adapters::overall(made.errors).relative();
    report["errors"] = error_list(made.errors);
  }
  if (!made.errors.empty() && !held_out.empty()) {
    const auto errors = adapters::output_errors(convert.set, made, stream_of(held_out, "held out"));
    report["held_out_relative_error"] = adapters::overall(errors).relative();
    report["held_out_errors"] = error_list(errors);
  }
  report["modules"] = OrderedJson::array();
  for (const adapters::ConvertedModule& module : made.modules) report["modules"].push_back(module_report(module));
  if (!held_out.empty()) report["loss"] = compare_losses(convert, *lora, held_out);
  if (!convert.scores.tasks.tasks.empty()) report["tasks"] = compare_tasks(convert, *lora);
  write_text_file(folder / kConversionReport, report.dump(2) + "\n");
  return report;
}

void print_conversion(const OrderedJson& report) {
  print_modules(report);
  if (report["exact"].get<bool>()) {
    fmt::print("\nThe LoRA computes the same update.\n");
  } else {
    fmt::print("\nrelative error of the update {:.4f} on the {} tokens of the fit",
               report["relative_error"].get<double>(), report["tokens"].get<int64_t>());
    if (report.contains("held_out_relative_error"))
      fmt::print(", {:.4f} on held-out rows", report["held_out_relative_error"].get<double>());
    fmt::print("\n");
  }
  if (!report.contains("loss") && !report.contains("tasks")) return;
  std::vector<std::string> header = {""};
  std::vector<std::vector<std::string>> rows = {{"base"}, {"adapter"}, {"lora"}};
  if (report.contains("loss")) {
    header.emplace_back("loss");
    for (auto& row : rows) row.push_back(fmt::format("{:.4f}", report["loss"][row[0]].get<double>()));
  }
  if (report.contains("tasks"))
    for (const auto& [task, scores] : report["tasks"]["scores"].items()) {
      header.push_back(task + " acc");
      for (auto& row : rows) row.push_back(score_text(scores[row[0]], "acc"));
    }
  Table table(header);
  for (const auto& row : rows) table.add(row);
  fmt::print("\n{}", table.text());
}

}  // namespace morex::cli
