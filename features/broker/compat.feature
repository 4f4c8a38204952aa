Feature: Compat mode

  As the owner of an application that was written for the original ExoCom
  I want the broker to behave as the original did, even where that is odd
  So that my application works unchanged.

  Background:
    Given a broker in compat mode

  Scenario: nobody receives the message
    When web sends "zonk"
    Then the broker answers 500
    And the answer is "Error: No receivers for message 'zonk' registered"

  Scenario: the public name is the one in the error
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users | mongo     |       |          |
    When users sends "mongo.created"
    Then the answer is "Error: No receivers for message 'users.created' registered"

  Scenario: a message to a service with a namespace, and its reply
    Given the landscape:
      | NAME   | NAMESPACE     | SENDS                 | RECEIVES             |
      | web    |               | tweets.create         | tweets.created       |
      | tweets | text-snippets | text-snippets.created | text-snippets.create |
    When web sends "tweets.create"
    Then tweets receives "text-snippets.create"
    When tweets sends "text-snippets.created"
    Then web receives "tweets.created"

  Scenario: a service with a namespace that receives another one's message never gets it
    Given the landscape:
      | NAME | NAMESPACE | SENDS | RECEIVES      |
      | web  | web       |       | users.created |
    Then GET /config.json eventually says "'web':{'name':'web'"
    When users sends "users.created"
    Then the broker answers 500

  Scenario: what follows a second dot is lost
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES         |
      | users | mongo     |       | mongo.create.now |
    When web sends "users.create"
    Then users receives "mongo.create"

  Scenario: a reply goes only to those who receive it
    Given the instance "web-1" of web receives ""
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" from instance "web-1"
    And users sends "created" as "2" in reply to "1"
    Then the broker answers 500

  Scenario: an object without roles takes all services away, as by the original
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    When I POST to /services:
      """
      {}
      """
    Then the broker answers 200
    When web sends "create"
    Then the broker answers 500
