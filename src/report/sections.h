// The sections of the page, each HTML from what was read; page.cpp puts them together.
#pragma once
#include <string>

#include "report/pictures.h"
#include "report/run_folder.h"

namespace hebm::report {

// A page from its start to the line below its heading; the generator is the name that tells whose
// file it is. All are escaped.
std::string page_head(const std::string& title, const std::string& generator, const std::string& about);
std::string generator_mark(const std::string& generator);  // as it stands in the head

std::string scores_section(const RunFolder& run);
std::string pictures_section(const RunFolder& run, PictureBudget& budget);
std::string curves_section(const RunFolder& run);
std::string levels_section(const RunFolder& run);
std::string configuration_section(const RunFolder& run);
std::string environment_section(const RunFolder& run);
std::string commands_section(const RunFolder& run);
std::string ood_section(const RunFolder& run);  // results/ood-*.json of `ood`; "" where there is none
bool is_ood_result(const std::string& name, const nlohmann::json& json);
// Experiments on a trained prior, each from its files in results/ and pictures; "" where it was not
// run.
std::string transition_section(const RunFolder& run, PictureBudget& budget);
std::string vary_section(const RunFolder& run, PictureBudget& budget);
std::string temperature_section(const RunFolder& run, PictureBudget& budget);  // of summary.json
std::string priors_section(const RunFolder& run);  // results/priors.json of `evaluate --all`; "" where there is none
std::string labels_section(const RunFolder& run, PictureBudget& budget);
std::string compose_section(const RunFolder& run, PictureBudget& budget);
bool is_labels_result(const std::string& result);
bool has_section(const std::string& result);        // results/NAME.json that a section above shows
std::string results_section(const RunFolder& run);  // everything else of results/
std::string sweep_section(const RunFolder& run);    // results/sweep.json of `sweep collect`; "" where there is none

// Any JSON as HTML: an array of objects is a table, an object key and value; depth and length are
// bounded. Escaped.
std::string json_html(const nlohmann::json& json);
std::string missing(const std::string& html);  // a sentence that says what is not there and what makes it

}  // namespace hebm::report
