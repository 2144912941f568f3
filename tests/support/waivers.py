"""What no test can see, each with its reason. Keep it short: a waiver that is not needed fails the run."""

WAIVERS: dict[tuple[str, int], str] = {}
"""Promised responses: `("getTask", 503)`."""
PART_WAIVERS: dict[str, str] = {}
"""Optional members, headers and enum values of responses: "the header Link of TaskPage"."""

_PREFIX = "It is longest with the longest ROOT_PATH, and the bound leaves room for a longer one."
_FIXED = "The service has a closed list of such texts, and the bound leaves room for others."
_TAG = "Without it the discriminator finds no command, which is the same error."
MUTANT_WAIVERS: dict[str, str] = {
    "LocationHeader.maxLength were 1023": _PREFIX,
    "NextPageHeader.maxLength were 2047": _PREFIX,
    "ServiceInfo.contract.maxLength were 254": _PREFIX,
    "ServiceInfo.documentation.maxLength were 254": _PREFIX,
    "ChallengeHeader.maxLength were 511": _FIXED,
    "InvalidRequestChallengeHeader.maxLength were 511": _FIXED,
    "ProblemTitle.maxLength were 99": _FIXED,
    "ProblemInstance.maxLength were 254": "A request id has at most 128 characters.",
    "Timestamp.maxLength were 33": "A time of so many characters has too many digits: the error is that of the format.",
    "Timestamp.maxLength were 31": "Its pattern allows at most 27 characters.",
    "Version.maxLength were 31": "There is one version, and it is short.",
    "RetryInProgressHeader.maximum were 3599": "A request in progress takes a second or so.",
    "Count.maximum were 9007199254740990": "No table has so many rows.",
    "CreateTaskCommand.type were optional": _TAG,
    "UpdateTaskCommand.type were optional": _TAG,
    "CompleteTaskCommand.type were optional": _TAG,
    "DeleteTaskCommand.type were optional": _TAG,
    "TimeZone.maxLength were 63": "No time zone has so long a name yet.",
    "DueDate.maxLength were 11": "No day has eleven characters, so the error is that of the format.",
    "TaskExportResponse.text/csv.maxLength were 9007199254740990": "No table is so long.",
    "TaskExportResponse.text/calendar.maxLength were 9007199254740990": "No calendar is so long.",
    "ServiceInfoResponse.text/html.maxLength were 9007199254740990": "No page is so long.",
    "UserId.minLength were 0": "An empty segment is no path of the contract.",
    "UserId.maxLength were 256": "A token's `sub` has at most 255 characters, and another user's URL is 403.",
}
"""Edits of the contract that no test would notice: "Title.maxLength were 199"."""
