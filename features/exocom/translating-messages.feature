Feature: Translating messages

  As the author of a service that several applications use
  I want to speak of messages in my own language
  So that I need not know what role I play in which application.

  Background:
    Given the service data:
      | ROLE   | SENDS                 | RECEIVES             | TRANSLATIONS                                                                              |
      | web    | tweets create         | tweets created       |                                                                                           |
      | tweets | text-snippets created | text-snippets create | tweets create = text-snippets create, tweets created = text-snippets created |
    And exocom is running
    And web and tweets are connected

  Scenario: a message to a service with a language of its own
    When web sends "tweets create" with {"payload":{"text":"hi"}}
    Then tweets gets "text-snippets create" with {"payload":{"text":"hi"}}
    And the log says `web  --[ tweets create ]-[ text-snippets create ]->  tweets`

  Scenario: an answer from a service with a language of its own
    When tweets sends "text-snippets created" in activity "111"
    Then web gets "tweets created" with {"activityId":"111"}
    And the log says `tweets  --[ text-snippets created ]-[ tweets created ]->  web`
